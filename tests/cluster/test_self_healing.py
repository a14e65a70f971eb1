"""Pods come, go and come back: replication controller, scheduler, kubelets and endpoints in one process."""

import asyncio
from contextlib import aclosing

import pytest

from labkit.api.errors import Conflict
from labkit.api.types import (
    Condition,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Node,
    ObjectMeta,
    Pod,
    ReplicationController,
    Service,
)
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import addresses, events, names, pod, pods, rc, running, scale, service

HEARD = 0.3  # seconds until all have heard of a change: each kind has a watch of its own, none waits for another


async def count(cluster: OneProcess, wanted: int) -> list[Pod]:
    """Wait until exactly so many pods exist and run."""

    async def settled() -> bool:
        there, ready = await pods(cluster.client), await running(cluster.client)
        return len(there) == len(ready) == wanted

    await eventually(settled, 10, expect=f"{wanted} pods")
    return await pods(cluster.client)


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_deleting_a_controller_with_its_pods(cluster: OneProcess, policy: str) -> None:
    client = cluster.client
    await client.create(rc(3))
    await client.create(pod("bystander", {"app": "other"}))
    await count(cluster, 3)
    path = "/api/v1/namespaces/default/replicationcontrollers/web"
    await client.raw("DELETE", path, body=f'{{"propagationPolicy":"{policy}"}}'.encode())
    await count(cluster, 0)
    await client.get(Pod, "bystander", "default")

    await eventually(lambda: gone(client), expect="the controller gone, after its pods")


async def gone(client: Client) -> bool:
    """No controller is left."""
    return not (await client.list(ReplicationController, "default")).items


async def test_a_controller_that_is_deleted_while_nobody_works(cluster: OneProcess) -> None:
    """Whose they were is in the pods: the next garbage collector finds them."""
    client = cluster.client
    await client.create(rc(2))
    await count(cluster, 2)
    await cluster.stop("kube-controller-manager")
    path = "/api/v1/namespaces/default/replicationcontrollers/web"
    await client.raw("DELETE", path, params={"propagationPolicy": "Background"})
    assert not (await client.list(ReplicationController, "default")).items
    cluster.start("kube-controller-manager")
    await count(cluster, 0)


async def test_another_template_is_for_pods_to_come(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(2))
    before = names(await count(cluster, 2))
    changed = await client.get(ReplicationController, "web", "default")
    assert changed.spec.template
    changed.spec.template.spec.containers[0].image = "newer"
    await client.update(changed)
    await asyncio.sleep(HEARD)
    assert names(await count(cluster, 2)) == before
    await client.delete(Pod, sorted(before)[0], "default")
    await eventually(lambda: replaced(client, before), expect="one pod of the new template beside the one of the old")


async def replaced(client: Client, before: set[str]) -> bool:
    images = {each.metadata.name in before: each.spec.containers[0].image for each in await running(client)}
    return len(images) == 2 and images[False] == "newer" != images[True]


async def test_deleting_a_controller_alone(cluster: OneProcess) -> None:
    await cluster.client.create(rc(2))
    before = names(await count(cluster, 2))
    await cluster.client.delete(ReplicationController, "web", "default")
    await eventually(lambda: gone(cluster.client), expect="the controller gone, its pods orphaned")
    assert not any(one.metadata.owner_references for one in await pods(cluster.client))
    await asyncio.sleep(HEARD)
    await cluster.client.create(pod("later"))
    assert names(await count(cluster, 3)) == before | {"later"}


async def test_scale_up_and_down(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(3))
    first = await count(cluster, 3)
    assert {pod.spec.node_name for pod in first} == {"agent1", "agent2"}
    await asyncio.sleep(1)  # ages are counted in whole seconds
    await scale(client, 6)
    assert names(first) < names(await count(cluster, 6))
    await scale(client, 2)
    left = await count(cluster, 2)
    assert names(left) < names(first)  # the youngest went first

    async def observed() -> bool:
        status = (await client.get(ReplicationController, "web", "default")).status
        return (status.replicas, status.ready_replicas, status.observed_generation) == (2, 2, 3)

    await eventually(observed, expect="a status that tells what there is")
    created = await events(client, "successfulCreate")
    assert len(created) == 6
    assert all(event.message.startswith("Created pod: web-") for event in created)
    assert created[0].source.component == "replication-controller"
    assigned = await events(client, "scheduled")
    assert any(event.message == f"Successfully assigned {first[0].metadata.name} to {first[0].spec.node_name}"
               for event in assigned)  # fmt: skip


async def test_a_deleted_pod_is_replaced_and_a_killed_container_restarted(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(2))
    victim, other = await count(cluster, 2)
    await client.delete(Pod, victim.metadata.name, "default")

    async def replaced() -> bool:
        there = names(await running(client))
        return len(there) == 2 and victim.metadata.name not in there and other.metadata.name in there

    await eventually(replaced, expect="a replacement")
    cluster.runtimes[other.spec.node_name].exit(other.metadata.name, "c", 1)

    async def restarted() -> bool:
        same = await client.get(Pod, other.metadata.name, "default")
        return same.status.container_statuses[0].restart_count == 1 and same.status.phase == "Running"

    await eventually(restarted, 15, expect="the container again, in the same pod")


async def test_what_belongs_to_a_controller_is_decided_by_labels(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(2))
    first, second = await count(cluster, 2)
    first = await client.update(await _fresh(client, first, {"app": "debug"}))
    replaced = await count(cluster, 2)
    assert second.metadata.name in names(replaced)
    assert names(await pods(client, "app=debug")) == names([first])
    # and back: now there is one too many, and the oldest stay
    await client.update(await _fresh(client, first, {"app": "web"}))
    await count(cluster, 2)
    # a hand-made pod that matches is one too many as well
    await client.create(pod("by-hand"))

    async def gone() -> bool:
        return "by-hand" not in names(await pods(client))

    await eventually(gone, expect="the youngest, not yet running pod deleted")
    await count(cluster, 2)


async def _fresh(client: Client, old: Pod, labels: dict[str, str]) -> Pod:
    now = await client.get(Pod, old.metadata.name, "default")
    now.metadata.labels = labels
    return now


async def test_deleting_the_controller_leaves_its_pods(cluster: OneProcess) -> None:
    await cluster.client.create(rc(2))
    before = await count(cluster, 2)
    await cluster.client.delete(ReplicationController, "web", "default")
    await eventually(lambda: gone(cluster.client), expect="the controller gone, its pods orphaned")
    assert not any(one.metadata.owner_references for one in await pods(cluster.client))
    await asyncio.sleep(HEARD)
    await cluster.client.delete(Pod, before[0].metadata.name, "default")
    await asyncio.sleep(HEARD)
    assert names(await pods(cluster.client)) == names(before[1:])


async def test_endpoints_follow_the_pods_of_two_services(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(2))
    await client.create(rc(1, "db", {"app": "db"}))
    for name, app in (("web", "web"), ("db", "db"), ("web-too", "web")):
        await client.create(service(name, {"app": app}))

    async def right() -> bool:
        web, db = await running(client), await running(client, "app=db")
        ips = sorted(p.status.pod_ip for p in web)
        return (
            len(web) == 2
            and await addresses(client, "web") == ips == await addresses(client, "web-too")
            and await addresses(client, "db") == [p.status.pod_ip for p in db]
            and len(db) == 1
        )

    await eventually(right, 10, expect="endpoints equal to the ready pods")
    (victim, *_) = await pods(client)
    await client.delete(Pod, victim.metadata.name, "default")
    await eventually(right, 10, expect="endpoints equal to the ready pods again")
    version = (await client.get(Endpoints, "web", "default")).metadata.resource_version
    await asyncio.sleep(1.2)  # kubelets report, nothing changes: nothing is written
    assert (await client.get(Endpoints, "web", "default")).metadata.resource_version == version
    await client.delete(Service, "web", "default")

    async def gone() -> bool:
        return "web" not in {e.metadata.name for e in (await client.list(Endpoints, "default")).items}

    await eventually(gone, expect="the service's endpoints gone with it")
    assert await addresses(client, "web-too")


async def test_a_headless_service_has_the_endpoints_of_its_pods(cluster: OneProcess) -> None:
    """It has no address of its own, hence no rules; its Endpoints are kept as any other's: DNS answers with them."""
    client = cluster.client
    headless = service("web")
    headless.spec.cluster_ip = "None"
    await client.create(headless)
    await client.create(rc(2))

    async def right() -> bool:
        ips = sorted(one.status.pod_ip for one in await running(client))
        return len(ips) == 2 and await addresses(client, "web") == ips

    await eventually(right, 15, expect="the ready pods' addresses")
    assert (await client.get(Service, "web", "default")).spec.cluster_ip == "None"
    (subset,) = (await client.get(Endpoints, "web", "default")).subsets
    assert [(port.port, port.protocol) for port in subset.ports] == [(6379, "TCP")]
    await scale(client, 0)

    async def nobody() -> bool:
        return not await addresses(client, "web")

    await eventually(nobody, 15, expect="no address left")


async def test_endpoints_made_by_hand_are_left_alone(cluster: OneProcess) -> None:
    client = cluster.client
    by_hand = [EndpointSubset(addresses=[EndpointAddress(ip="10.245.1.11")], ports=[EndpointPort(port=53)])]
    for name in ("first", "external"):  # before there is a service, and for a service without selector
        made = await client.create(Endpoints(metadata=ObjectMeta(name=name, namespace="default"), subsets=by_hand))
    await client.create(service("external", labels={}))
    await client.create(rc(1))
    await client.create(service("web"))
    await eventually(lambda: addresses(client, "web"), expect="the controller at work")
    await cluster.stop("kube-controller-manager")
    cluster.start("kube-controller-manager")
    await client.create(service("web-too"))
    await eventually(lambda: addresses(client, "web-too"), expect="the controller at work")
    for name in ("first", "external"):
        assert (await client.get(Endpoints, name, "default")).subsets == made.subsets


async def test_endpoints_whose_service_went_unseen_are_removed(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(1))
    await client.create(service("web"))
    await eventually(lambda: addresses(client, "web"), expect="endpoints")
    await cluster.stop("kube-controller-manager")
    await client.delete(Service, "web", "default")
    cluster.start("kube-controller-manager")

    async def gone() -> bool:
        return "web" not in {endpoints.metadata.name for endpoints in (await client.list(Endpoints)).items}

    await eventually(gone, expect="the leftover removed")


async def test_nodes_are_never_overfilled_and_room_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.client.queue.delay", lambda failures, first, most: 30.0)  # only changes wake a pod
    async with one_process(nodes=[]) as cluster:
        for name in ("agent1", "agent2"):
            cluster.add_node(name, max_pods=4)
        client = cluster.client
        await client.create(rc(20))

        async def full() -> bool:
            per_node: dict[str, int] = {}
            for p in await pods(client):
                per_node[p.spec.node_name] = per_node.get(p.spec.node_name, 0) + 1
            assert all(count <= 4 for node, count in per_node.items() if node)
            return per_node == {"agent1": 4, "agent2": 4, "": 12}

        await eventually(full, 10, expect="four pods on each node, twelve waiting")
        fits_nowhere = "failed to find fit for pod, Node agent1: PodFitsResources, Node agent2: PodFitsResources"

        async def told() -> bool:
            return fits_nowhere in {event.message for event in await events(client, "failedScheduling")}

        await eventually(told, expect="an event that says why")
        cluster.add_node("agent3", max_pods=4)

        async def used() -> bool:
            return len([p for p in await pods(client) if p.spec.node_name == "agent3"]) == 4

        await eventually(used, expect="the new node filled")
        await client.delete(ReplicationController, "web", "default")  # nobody makes new pods: a waiting one must do
        victim = next(p for p in await pods(client) if p.spec.node_name == "agent1")
        await client.delete(Pod, victim.metadata.name, "default")

        async def reused() -> bool:
            there = [p for p in await pods(client) if p.spec.node_name == "agent1"]
            return len(there) == 4 and victim.metadata.name not in names(there)

        await eventually(reused, expect="the free place taken")


async def test_the_scheduler_may_be_away(cluster: OneProcess) -> None:
    client = cluster.client
    await cluster.stop("kube-scheduler")
    await client.create(rc(3))
    await eventually(lambda: _exist(client, 3))
    await asyncio.sleep(0.2)
    assert not any(p.spec.node_name for p in await pods(client))
    # level-triggered: a learner may bind by hand meanwhile
    by_hand = (await pods(client))[0]
    await client.bind(by_hand, "agent2")
    cluster.start("kube-scheduler")
    await count(cluster, 3)
    assert (await client.get(Pod, by_hand.metadata.name, "default")).spec.node_name == "agent2"


async def _exist(client: Client, wanted: int) -> bool:
    return len(await pods(client)) == wanted


async def test_the_api_server_may_be_away(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(2))
    await client.create(service("web"))
    before = await count(cluster, 2)
    await cluster.restart_server(away=0.3)
    await scale(client, 4)
    after = await count(cluster, 4)
    assert names(before) < names(after)

    async def follow() -> bool:
        return await addresses(client, "web") == sorted(p.status.pod_ip for p in await running(client))

    await eventually(follow, 10, expect="endpoints that follow again")


async def test_a_lost_node_is_noticed_and_its_pods_made_elsewhere(cluster: OneProcess) -> None:
    client = cluster.client
    await client.create(rc(4))
    before = await count(cluster, 4)
    assert {p.spec.node_name for p in before} == {"agent1", "agent2"}
    await cluster.stop("kubelet/agent1")

    async def ready(node: str) -> Condition:
        conditions = (await client.get(Node, node)).status.conditions
        return next(c for c in conditions if c.type == "Ready")

    async def unknown() -> bool:
        return (await ready("agent1")).status == "Unknown"

    await eventually(unknown, 10, expect="agent1 Unknown")
    assert (await ready("agent1")).reason == "Kubelet stopped posting node status."

    async def elsewhere() -> bool:
        return {p.spec.node_name for p in await running(client)} == {"agent2"} and len(await running(client)) == 4

    await eventually(elsewhere, 15, expect="all pods on agent2")
    cluster.start("kubelet/agent1")

    async def back() -> bool:
        return (await ready("agent1")).status == "True"

    await eventually(back, 10, expect="agent1 Ready again")


async def test_a_controller_that_sees_late_creates_nothing_twice(cluster: OneProcess) -> None:
    """The informers of this controller-manager show each change a tenth of a second late, and one at a time."""
    client = cluster.client
    await cluster.stop("kube-controller-manager")
    start = (await client.list(Pod)).resource_version
    async with LateClient(cluster.server.base_url) as late:
        manager = asyncio.create_task(ControllerManager(late).run())
        try:
            await client.create(rc(5))
            await count(cluster, 5)
            await scale(client, 8)
            await count(cluster, 8)
            await scale(client, 3)
            await count(cluster, 3)
            await asyncio.sleep(1)
            await count(cluster, 3)
        finally:
            manager.cancel()
            await asyncio.wait([manager])
    history = []
    async with aclosing(client.watch(Pod, resource_version=start, label_selector="app=web")) as watch:
        async for event in watch:
            history.append(event.type)
            if history.count("DELETED") == 5:
                break
    assert history.count("ADDED") == 8


class LateClient(Client):
    async def watch(self, *args, **kwargs):  # type: ignore[no-untyped-def, override]
        async with aclosing(super().watch(*args, **kwargs)) as watch:
            async for event in watch:
                await asyncio.sleep(0.1)
                yield event


async def test_of_two_writers_one_is_told(cluster: OneProcess) -> None:
    client = cluster.client
    mine = await client.create(rc(1))
    theirs = await client.get(ReplicationController, "web", "default")
    await count(cluster, 1)  # the controller has written its status meanwhile
    mine.spec.replicas, theirs.spec.replicas = 2, 3
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.update(mine)
    with pytest.raises(Conflict):
        await client.update(theirs)
    await scale(client, 3)
    await count(cluster, 3)
