"""The scheduler's decision, with literals."""

import random
from typing import Any

import pytest

from labkit.api.types import (
    AWSElasticBlockStoreVolumeSource,
    Condition,
    Container,
    ContainerPort,
    GCEPersistentDiskVolumeSource,
    Node,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    ReplicationController,
    ReplicationControllerSpec,
    ResourceRequirements,
    Service,
    ServiceSpec,
    Volume,
)
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER, DoesNotFit, Placement, schedule
from labkit.components.kube_scheduler.node_info import NodeInfo, Resources
from labkit.components.kube_scheduler.predicates import PREDICATES
from labkit.components.kube_scheduler.priorities import (
    balanced_resource_allocation,
    equal_priority,
    least_requested,
    selector_spread,
    service_spreading,
)
from labkit.components.kube_scheduler.view import View


def node(
    name: str, cpu: str = "1", memory: str = "1Gi", pods: str = "40", labels: dict[str, str] | None = None
) -> Node:
    status = NodeStatus(
        capacity={"cpu": cpu, "memory": memory, "pods": pods}, conditions=[Condition(type="Ready", status="True")]
    )
    return Node(metadata=ObjectMeta(name=name, labels=labels or {}), status=status)


def pod(name: str, *, port: int | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Pod:
    limits = {what: spec.pop(what) for what in ("cpu", "memory") if what in spec}
    container = Container(
        name="c",
        image="redis",
        ports=[ContainerPort(container_port=80, host_port=port)] if port else [],
        resources=ResourceRequirements(limits=limits),
    )
    meta = ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", labels=labels or {})
    return Pod(metadata=meta, spec=PodSpec(containers=[container], **spec))


def disk(name: str, *, read_only: bool = False) -> list[Volume]:
    return [Volume(name="d", gce_persistent_disk=GCEPersistentDiskVolumeSource(pd_name=name, read_only=read_only))]


def amazon(name: str, *, read_only: bool = False) -> list[Volume]:
    source = AWSElasticBlockStoreVolumeSource(volume_id=name, read_only=read_only)
    return [Volume(name="d", aws_elastic_block_store=source)]


@pytest.mark.parametrize(
    ("predicate", "wanted", "there", "fits"),
    [
        ("PodFitsPorts", pod("a", port=8080), pod("b", port=8080), False),
        ("PodFitsPorts", pod("a", port=8080), pod("b", port=8081), True),
        ("PodFitsPorts", pod("a"), pod("b", port=8080), True),
        ("PodFitsResources", pod("a", cpu="600m"), pod("b", cpu="500m"), False),
        ("PodFitsResources", pod("a", cpu="500m"), pod("b", cpu="500m"), True),
        ("PodFitsResources", pod("a", memory="1Gi"), pod("b", memory="1"), False),
        ("PodFitsResources", pod("a"), pod("b", cpu="1", memory="1Gi"), True),
        ("NoDiskConflict", pod("a", volumes=disk("d1")), pod("b", volumes=disk("d1")), False),
        ("NoDiskConflict", pod("a", volumes=disk("d1")), pod("b", volumes=disk("d2")), True),
        (
            "NoDiskConflict",
            pod("a", volumes=disk("d1", read_only=True)),
            pod("b", volumes=disk("d1", read_only=True)),
            True,
        ),
        ("NoDiskConflict", pod("a", volumes=disk("d1", read_only=True)), pod("b", volumes=disk("d1")), False),
        ("NoDiskConflict", pod("a", volumes=amazon("d1")), pod("b", volumes=amazon("d1")), False),
        ("NoDiskConflict", pod("a", volumes=amazon("d1")), pod("b", volumes=amazon("d2")), True),
        ("NoDiskConflict", pod("a", volumes=amazon("d1")), pod("b", volumes=disk("d1")), True),
        (  # one pod of a machine only, even where all of them only read
            "NoDiskConflict",
            pod("a", volumes=amazon("d1", read_only=True)),
            pod("b", volumes=amazon("d1", read_only=True)),
            False,
        ),
        ("MatchNodeSelector", pod("a", node_selector={"disk": "ssd"}), pod("b"), True),
        ("MatchNodeSelector", pod("a", node_selector={"disk": "hdd"}), pod("b"), False),
        ("HostName", pod("a", node_name="agent1"), pod("b"), True),
        ("HostName", pod("a", node_name="agent2"), pod("b"), False),
    ],
)
def test_predicate(predicate: str, wanted: Pod, there: Pod, fits: bool) -> None:
    agent1 = node("agent1", labels={"disk": "ssd"})
    assert PREDICATES[predicate](wanted, agent1, View(on_nodes={"agent1": NodeInfo([there])})) is fits


def test_a_node_takes_no_more_pods_than_it_says() -> None:
    full = View(on_nodes={"agent1": NodeInfo([pod("a"), pod("b")])})
    assert not PREDICATES["PodFitsResources"](pod("c"), node("agent1", pods="2"), full)
    assert PREDICATES["PodFitsResources"](pod("c"), node("agent1", pods="3"), full)


def test_least_requested_is_the_mean_of_the_free_tenths() -> None:
    there = {"agent1": NodeInfo([pod("a", cpu="500m", memory="256Mi")])}
    asked = pod("b", cpu="200m", memory="256Mi")
    # agent1: cpu (1000-700)*10/1000 = 3, memory (1024-512)*10/1024 = 5; agent2: cpu 8, memory 7
    assert least_requested(asked, [node("agent1"), node("agent2")], View(on_nodes=there)) == {"agent1": 4, "agent2": 7}


def test_a_container_without_limits_counts_as_a_small_one() -> None:
    assert NodeInfo([pod("a")]).presumed_limits == Resources(100, 200 * 1024 * 1024)
    assert NodeInfo([pod("a", cpu="0", memory="0")]).presumed_limits == Resources(0, 0)
    assert NodeInfo([pod("a")]).limits == Resources(0, 0)


def test_balanced_prefers_the_node_where_cpu_and_memory_fill_up_together() -> None:
    there = {
        "agent1": NodeInfo([pod("a", cpu="500m", memory="0")]),
        "agent2": NodeInfo([pod("b", cpu="0", memory="0")]),
    }
    asked = pod("c", cpu="100m", memory="512Mi")
    # agent1: |0.6 - 0.5| -> 9; agent2: |0.1 - 0.5| -> 6
    assert balanced_resource_allocation(asked, [node("agent1"), node("agent2")], View(on_nodes=there)) == {
        "agent1": 9,
        "agent2": 6,
    }


def test_a_full_node_scores_nothing() -> None:
    asked = pod("a", cpu="2", memory="1Mi")
    assert balanced_resource_allocation(asked, [node("agent1")], View()) == {"agent1": 0}


def test_pods_of_a_service_are_spread() -> None:
    web = {"app": "web"}
    service = Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(selector=web))
    there = {
        "agent1": NodeInfo([pod("a", labels=web), pod("b", labels=web)]),
        "agent2": NodeInfo([pod("c", labels=web)]),
        "agent3": NodeInfo([pod("d")]),
    }
    nodes = [node("agent1"), node("agent2"), node("agent3")]
    asked = pod("e", labels=web)
    view = View(on_nodes=there, services=[service])
    assert service_spreading(asked, nodes, view) == {"agent1": 0, "agent2": 5, "agent3": 10}
    assert schedule(asked, nodes, view).node == "agent3"
    # without a service it is at home everywhere
    assert service_spreading(asked, nodes, View(on_nodes=there)) == {"agent1": 10, "agent2": 10, "agent3": 10}


def test_pods_of_a_replication_controller_are_spread_too_when_a_policy_says_so() -> None:
    web = {"app": "web"}
    controller = ReplicationController(
        metadata=ObjectMeta(name="web", namespace="default"), spec=ReplicationControllerSpec(selector=web)
    )
    there = {"agent1": NodeInfo([pod("a", labels=web)]), "agent2": NodeInfo([pod("b")])}
    view = View(on_nodes=there, controllers=[controller])
    nodes = [node("agent1"), node("agent2")]
    assert selector_spread(pod("c", labels=web), nodes, view) == {"agent1": 0, "agent2": 10}
    assert selector_spread(pod("c"), nodes, view) == {"agent1": 10, "agent2": 10}
    assert equal_priority(pod("c"), nodes, view) == {"agent1": 1, "agent2": 1}


def test_of_many_nodes_the_best_are_told() -> None:
    points = {f"n{number:03}": number % 20 for number in range(100)}
    points["n000"] = points["n099"]  # a draw between six of them
    told = Placement("n099", points).told()
    assert len(told) == 8
    assert told["n099"] == max(points.values()) == max(told.values())
    assert Placement("n000", points).told()["n000"] == points["n000"]
    assert Placement("a", {"a": 3, "b": 1}).told() == {"a": 3, "b": 1}


def test_the_best_node_wins_with_the_sum_of_its_points() -> None:
    there = {"agent1": NodeInfo([pod("a", cpu="500m", memory="512Mi")])}
    placement = schedule(pod("b", cpu="100m", memory="100Mi"), [node("agent1"), node("agent2")], View(on_nodes=there))
    assert placement.node == "agent2"
    assert placement.points == {"agent1": 4 + 9 + 10, "agent2": 9 + 9 + 10}


def test_a_draw_is_drawn_by_lot_from_all_of_the_best() -> None:
    nodes = [node("agent1"), node("agent2"), node("agent3", labels={"tiny": ""}, cpu="100m")]
    rng = random.Random(1)
    assert {schedule(pod("a"), nodes, View(), rng=rng).node for _ in range(40)} == {"agent1", "agent2"}
    again = [schedule(pod("a"), nodes, View(), rng=random.Random(7)).node for _ in range(3)]
    assert len(set(again)) == 1


def test_every_refusal_is_named() -> None:
    nodes = [node("agent1", labels={"disk": "ssd"}), node("agent2")]
    asked = pod("a", node_selector={"disk": "ssd"}, cpu="4")
    with pytest.raises(DoesNotFit) as refusal:
        schedule(asked, nodes, View())
    assert str(refusal.value) == (
        "failed to find fit for pod, Node agent1: PodFitsResources, Node agent2: PodFitsResources"
    )
    assert refusal.value.reasons == {"agent1": "PodFitsResources", "agent2": "PodFitsResources"}


def test_of_many_refusals_some_are_named_and_the_others_counted() -> None:
    nodes = [node(f"n{number:02}", cpu="8" if number > 9 else "1", labels={"disk": "ssd"}) for number in range(30)]
    with pytest.raises(DoesNotFit) as refusal:
        schedule(pod("a", cpu="4", node_selector={"disk": "hdd"}), nodes, View())
    assert str(refusal.value).startswith("failed to find fit for pod, Node n00: PodFitsResources, Node n01: ")
    assert str(refusal.value).endswith(" and 22 more (20 MatchNodeSelector, 2 PodFitsResources)")


def test_no_nodes_at_all() -> None:
    with pytest.raises(DoesNotFit, match=r"^no nodes available to schedule pods$"):
        schedule(pod("a"), [], View())


def test_the_names_are_those_of_kubernetes() -> None:
    assert list(PREDICATES) == ["PodFitsPorts", "PodFitsResources", "NoDiskConflict", "MatchNodeSelector", "HostName"]
    assert {name: weight for name, (_, weight) in DEFAULT_PROVIDER.priorities.items()} == {
        "LeastRequestedPriority": 1,
        "BalancedResourceAllocation": 1,
        "ServiceSpreadingPriority": 1,
    }


def test_node_info_follows_what_is_added_and_removed() -> None:
    info = NodeInfo([pod("a", cpu="1")])
    info.add(pod("a", cpu="2"))  # the same pod, changed
    assert (len(info), info.limits.milli_cpu) == (1, 2000)
    info.remove(pod("a"))
    info.remove(pod("never-there"))
    assert (len(info), info.limits, info.presumed_limits, info.kin) == (0, Resources(), Resources(), {})


def test_pods_with_the_same_labels_are_counted_as_one_kind() -> None:
    web = {"app": "web"}
    info = NodeInfo([pod("a", labels=web), pod("b", labels=web), pod("c")])
    assert sorted(info.kin.values()) == [1, 2]
    info.add(pod("b", labels={"app": "other"}))  # relabelled
    service = Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(selector=web))
    elsewhere = Service(metadata=ObjectMeta(name="web", namespace="team"), spec=ServiceSpec(selector=web))
    view = View(on_nodes={"agent1": info})
    assert view.count(service) == {"agent1": 1}
    assert view.count(elsewhere) == view.count() == {}
