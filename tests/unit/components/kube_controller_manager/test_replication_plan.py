"""How many pods to create and which to delete, with literals."""

from msgspec.structs import replace

from labkit.api.types import (
    Condition,
    Container,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
)
from labkit.components.kube_controller_manager.replication import in_deletion_order, new_pod, owner, plan, whose

WEB = {"app": "web"}


def rc(replicas: int | None) -> ReplicationController:
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=WEB, annotations={"note": "x"}),
        spec=PodSpec(containers=[Container(name="c", image="redis")]),
    )
    return ReplicationController(
        metadata=ObjectMeta(name="web", namespace="default", uid="u1", resource_version="18"),
        spec=ReplicationControllerSpec(replicas=replicas, selector=WEB, template=template),
    )


def pod(
    name: str,
    *,
    labels: dict[str, str] = WEB,
    node: str = "agent1",
    phase: str = "Running",
    ready: bool = True,
    born: str = "2015-06-01T00:00:00Z",
    namespace: str = "default",
) -> Pod:
    conditions = [Condition(type="Ready", status="True" if ready else "False")]
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=name, labels=labels, creation_timestamp=born),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase, conditions=conditions),
    )


def test_creates_what_is_missing() -> None:
    assert plan(rc(3), [pod("a")]) == (2, [])


def test_as_many_as_wanted_is_nothing_to_do() -> None:
    assert plan(rc(2), [pod("a"), pod("b")]) == (0, [])


def test_only_pods_with_its_labels_in_its_namespace_that_still_run_count() -> None:
    others = [
        pod("other", labels={"app": "db"}),
        pod("elsewhere", namespace="prod"),
        pod("over", phase="Succeeded"),
        pod("broken", phase="Failed"),
    ]
    leaving = pod("leaving")
    leaving.metadata.deletion_timestamp = "2015-06-01T00:00:00Z"
    assert plan(rc(1), [*others, leaving]) == (1, [])


def test_a_pod_with_more_labels_counts() -> None:
    assert plan(rc(1), [pod("a", labels=WEB | {"tier": "front"})]) == (0, [])


def test_none_wanted_deletes_all() -> None:
    assert [p.metadata.name for p in plan(rc(0), [pod("a"), pod("b")]).deletes] == ["b", "a"]


def test_replicas_default_to_one() -> None:
    assert plan(rc(None), []) == (1, [])


def test_the_least_useful_goes_first() -> None:
    unassigned = pod("unassigned", node="", phase="Pending", ready=False)
    pending = pod("pending", phase="Pending", ready=False)
    unknown = pod("unknown", phase="Unknown", ready=False)
    not_ready = pod("not-ready", ready=False)
    young = pod("young", born="2015-06-01T00:00:09Z")
    old = pod("old")
    shuffled = [old, not_ready, unassigned, young, unknown, pending]
    assert in_deletion_order(shuffled) == [unassigned, pending, unknown, not_ready, young, old]
    assert plan(rc(4), shuffled).deletes == [unassigned, pending]


def test_of_one_that_is_being_deleted_nothing_is_wanted() -> None:
    ending = rc(3)
    ending.metadata.deletion_timestamp = "2015-06-01T00:00:00Z"
    assert plan(ending, [pod("a"), pod("b")]) == (0, [])
    assert whose(ending, [pod("a")]) == ([], [])


def test_owners_follow_labels() -> None:
    mine, free, lost, another, elsewhere = (pod(name) for name in ("mine", "free", "lost", "another", "elsewhere"))
    mine.metadata.owner_references = lost.metadata.owner_references = [owner(rc(1))]
    lost.metadata.labels = {"app": "quarantine"}
    another.metadata.owner_references = [replace(owner(rc(1)), uid="u2")]
    elsewhere.metadata.namespace = "prod"
    over = pod("over", phase="Failed")
    assert whose(rc(1), [mine, free, lost, another, elsewhere, over]) == ([free], [lost])
    assert whose(rc(1), [mine]) == ([], [])


def test_a_new_pod_is_the_template_with_its_origin() -> None:
    made = new_pod(rc(1))
    assert (made.metadata.generate_name, made.metadata.name, made.metadata.namespace) == ("web-", "", "default")
    assert made.metadata.labels == WEB
    assert made.spec.containers[0].image == "redis"
    (its,) = made.metadata.owner_references
    assert (its.kind, its.name, its.uid, its.controller) == ("ReplicationController", "web", "u1", True)
    assert made.metadata.annotations == {
        "note": "x",
        # letter by letter what 1.0 writes
        "kubernetes.io/created-by": '{"kind":"SerializedReference","apiVersion":"v1","reference":{"kind":'
        '"ReplicationController","namespace":"default","name":"web","uid":"u1","apiVersion":"v1","resourceVersion":"18"}}',
    }


def test_the_template_is_not_shared_between_pods() -> None:
    owner = rc(2)
    first = new_pod(owner)
    first.metadata.labels["app"] = "mine"
    assert new_pod(owner).metadata.labels == WEB
