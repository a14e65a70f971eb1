import pytest

from labkit.api.codec import from_builtins, to_builtins
from labkit.api.kinds import KINDS
from labkit.api.strategies import strategy_of
from labkit.api.types import (
    Container,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Namespace,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
    ReplicationControllerStatus,
    copy,
)

BORN = "2015-06-05T00:00:00Z"
META = ObjectMeta(name="x", namespace="default", uid="u1", resource_version="5", creation_timestamp=BORN)


def pod(image: str = "i", **status: str) -> Pod:
    spec = PodSpec(containers=[Container(name="c", image=image)])
    one = Pod(metadata=copy(META), spec=spec, status=PodStatus(**status))
    strategy_of(KINDS["pods"]).defaults(one)
    return one


def rc(replicas: int) -> ReplicationController:
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "a"}), spec=pod().spec)
    one = ReplicationController(
        metadata=copy(META), spec=ReplicationControllerSpec(replicas=replicas, template=template)
    )
    strategy_of(KINDS["replicationcontrollers"]).defaults(one)
    return one


def test_every_kind_has_a_strategy() -> None:
    assert {strategy_of(kind).kind for kind in KINDS.values()} == set(KINDS.values())


def test_a_client_does_not_decide_the_status() -> None:
    strategy = strategy_of(KINDS["pods"])
    sent = pod(phase="Running")
    strategy.prepare_for_create(sent)
    assert sent.status == PodStatus(phase="Pending")
    change = pod(image="j", phase="Failed")
    strategy.prepare_for_update(change, pod(phase="Running"))
    assert change.status.phase == "Running"


def test_a_status_does_not_change_the_spec() -> None:
    strategy = strategy_of(KINDS["pods"])
    sent, old = pod(image="other", phase="Running"), pod(phase="Pending")
    strategy.prepare_for_status_update(sent, old)
    assert strategy.validate_status_update(sent, old) == []
    assert (sent.status.phase, sent.spec.containers[0].image) == ("Running", "i")


def test_a_status_does_not_move_a_pod() -> None:
    strategy = strategy_of(KINDS["pods"])
    sent, old = pod(), pod()
    sent.spec.node_name, old.spec.node_name = "n2", "n1"
    strategy.prepare_for_status_update(sent, old)
    assert [fault.field for fault in strategy.validate_status_update(sent, old)] == ["status.nodeName"]


def test_of_a_pod_only_the_image_changes() -> None:
    strategy = strategy_of(KINDS["pods"])
    assert strategy.validate_update(pod(image="j"), pod()) == []
    assert [str(fault) for fault in strategy.validate_update(pod(image=""), pod())] == [
        "spec.containers[0].image: required value"
    ]
    moved = pod()
    moved.spec.node_name = "n1"
    assert strategy.validate_update(moved, pod())[0].message.endswith(
        "may not update fields other than container.image"
    )


def test_what_a_client_leaves_out_of_a_change_is_taken_over() -> None:
    change = pod()
    change.metadata.uid, change.metadata.creation_timestamp = "", None
    assert strategy_of(KINDS["pods"]).validate_update(change, pod()) == []
    assert (change.metadata.uid, change.metadata.creation_timestamp) == ("u1", BORN)


def test_a_change_without_version() -> None:
    change = pod()
    change.metadata.resource_version = ""
    faults = strategy_of(KINDS["pods"]).validate_update(change, pod())
    assert [fault.field for fault in faults] == ["metadata.resourceVersion"]
    assert strategy_of(KINDS["pods"]).without_version == "current"
    assert strategy_of(KINDS["services"]).without_version == "invalid"
    assert strategy_of(KINDS["events"]).without_version == "conflict"


def test_generation_counts_the_changes_of_the_spec() -> None:
    strategy = strategy_of(KINDS["replicationcontrollers"])
    first = rc(1)
    strategy.prepare_for_create(first)
    assert first.metadata.generation == 1
    relabeled, scaled = rc(1), rc(2)
    relabeled.metadata.labels = {"other": "label"}
    strategy.prepare_for_update(relabeled, first)
    strategy.prepare_for_update(scaled, first)
    assert (relabeled.metadata.generation, scaled.metadata.generation) == (1, 2)


def test_a_controller_reports_without_changing_what_it_controls() -> None:
    strategy = strategy_of(KINDS["replicationcontrollers"])
    old = rc(2)
    old.metadata.generation = 3
    report = rc(9)
    report.status = ReplicationControllerStatus(replicas=2, observed_generation=3)
    strategy.prepare_for_status_update(report, old)
    assert strategy.validate_status_update(report, old) == []
    assert (report.spec.replicas, report.metadata.generation, report.status.replicas) == (2, 3, 2)


def test_namespaces_get_their_finalizer() -> None:
    strategy = strategy_of(KINDS["namespaces"])
    sent = Namespace(metadata=ObjectMeta(name="x"))
    strategy.prepare_for_create(sent)
    assert (sent.spec.finalizers, sent.status.phase) == (["kubernetes"], "Active")
    change = Namespace(metadata=ObjectMeta(name="x"))
    strategy.prepare_for_update(change, sent)
    assert change.spec.finalizers == ["kubernetes"]


def node(**spec: str | bool) -> Node:
    meta = ObjectMeta(name="n1", uid="u1", resource_version="5")
    return Node(metadata=meta, spec=NodeSpec(**{"external_id": "n1", **spec}))  # type: ignore[arg-type]


def test_a_node_registers_with_its_status() -> None:
    sent = node()
    sent.status = NodeStatus(addresses=[NodeAddress(type="InternalIP", address="10.245.1.12")])
    strategy_of(KINDS["nodes"]).prepare_for_create(sent)
    assert sent.status.addresses[0].address == "10.245.1.12"


def test_what_may_change_of_a_node() -> None:
    validate = strategy_of(KINDS["nodes"]).validate_update
    assert validate(node(unschedulable=True, pod_cidr="10.244.1.0/24"), node()) == []
    for change in (node(external_id="other"), node(provider_id="p")):
        assert [fault.message for fault in validate(change, node())] == [
            "update contains more than labels or capacity changes"
        ]
    moved = validate(node(pod_cidr="10.244.2.0/24"), node(pod_cidr="10.244.1.0/24"))
    assert [fault.message for fault in moved] == ["update contains more than labels or capacity changes"]


def test_node_addresses_are_given_once() -> None:
    twice = node()
    twice.status.addresses = [NodeAddress(type="InternalIP", address="1.2.3.4")] * 2
    faults = strategy_of(KINDS["nodes"]).validate_status_update(twice, node())
    assert [fault.message for fault in faults] == ["duplicate node addresses found"]


def subset(addresses: list[str], *ports: int) -> EndpointSubset:
    return EndpointSubset(
        addresses=[EndpointAddress(ip=ip) for ip in addresses],
        ports=[EndpointPort(port=port, protocol="TCP") for port in ports],
    )


def test_endpoints_are_repacked() -> None:
    strategy = strategy_of(KINDS["endpoints"])
    sent = Endpoints(
        metadata=copy(META),
        subsets=[subset(["1.1.1.2"], 80), subset(["1.1.1.1"], 80, 81), subset(["1.1.1.2", "1.1.1.2"], 81)],
    )
    strategy.prepare_for_create(sent)
    assert sent.subsets == [subset(["1.1.1.1", "1.1.1.2"], 80, 81)]
    again = copy(sent)
    strategy.prepare_for_update(again, sent)
    assert again == sent


def test_endpoints_without_ports_or_addresses_are_nothing() -> None:
    sent = Endpoints(metadata=copy(META), subsets=[subset(["1.1.1.1"]), subset([], 80)])
    strategy_of(KINDS["endpoints"]).prepare_for_create(sent)
    assert sent.subsets == []


def test_deletion_answers() -> None:
    answering = {kind.resource for kind in KINDS.values() if strategy_of(kind).delete_answers_object}
    assert answering == {
        "pods", "namespaces", "services", "podtemplates", "serviceaccounts", "resourcequotas", "persistentvolumes",
        "persistentvolumeclaims",
    }  # fmt: skip


@pytest.mark.parametrize("resource", ["resourcequotas", "persistentvolumes", "persistentvolumeclaims"])
def test_spec_and_status_are_kept_apart(resource: str) -> None:
    kind = KINDS[resource]
    strategy, what = strategy_of(kind), kind.type
    amounts = {"capacity": {"storage": "1Gi"}} if resource != "resourcequotas" else {"used": {"pods": "1"}}
    status_sent = from_builtins({"metadata": {"name": "x"}, "status": amounts}, what)
    stored = from_builtins({"metadata": {"name": "x"}, "spec": SPECS[resource]}, what)
    strategy.defaults(stored)
    strategy.prepare_for_create(stored)
    spec = to_builtins(stored)["spec"]
    strategy.prepare_for_status_update(status_sent, stored)
    assert to_builtins(status_sent)["spec"] == spec
    change = from_builtins({"metadata": {"name": "x"}, "spec": spec}, what)
    strategy.prepare_for_update(change, status_sent)
    assert to_builtins(change)["status"] == to_builtins(status_sent)["status"]
    strategy.prepare_for_create(status_sent)
    assert to_builtins(status_sent)["status"] == ({} if resource == "resourcequotas" else {"phase": "Pending"})


SPECS = {
    "resourcequotas": {"hard": {"pods": "3"}},
    "persistentvolumes": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "nfs": {"server": "s"}},
    "persistentvolumeclaims": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
