"""Two pods that want the same port of the machine: who is refused, and what becomes of the other."""

from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import Pod
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.host_ports import Tenant, taken
from tests.unit.components.kubelet.one_node import OneNode, one_node
from tests.unit.components.kubelet.pods import pod as a_pod


def wants(*ports: int, name: str = "new", minute: int = 5, protocol: str = "TCP") -> Pod:
    offered = [{"containerPort": 80, "hostPort": port, "protocol": protocol} for port in ports]
    created = f"2026-01-02T03:{minute:02}:00Z"
    spec: dict[str, Any] = {"name": "c", "image": "busybox", "ports": offered}
    return a_pod(spec, name=name, metadata={"creationTimestamp": created})


NEW = wants(80, 81)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], set()),
        ([Tenant(wants(8080, name="a"), settled=True)], set()),
        ([Tenant(wants(80, name="a", protocol="UDP"), settled=True)], set()),
        ([Tenant(wants(80, name="a"), settled=True)], {(80, "TCP")}),
        ([Tenant(wants(80, name="a", minute=9), settled=True)], {(80, "TCP")}),  # younger, but it runs
        ([Tenant(wants(80, name="a", minute=1), settled=False)], {(80, "TCP")}),
        ([Tenant(wants(80, name="a", minute=9), settled=False)], set()),  # it will be refused
        ([Tenant(wants(80, name="a"), settled=False)], {(80, "TCP")}),  # as old: the first by name
        ([Tenant(wants(80, name="z"), settled=False)], set()),
        (  # the older one that wants 81 will be refused itself, because of 82
            [
                Tenant(wants(82, name="a", minute=9), settled=True),
                Tenant(wants(81, 82, name="b", minute=1), settled=False),
            ],
            set(),
        ),
    ],
)  # fmt: skip
def test_who_came_first_has_it(others: list[Tenant], expected: set[tuple[int, str]]) -> None:
    assert taken(NEW, others) == expected


def test_without_host_ports_there_is_nothing_to_take() -> None:
    assert taken(a_pod("c"), [Tenant(wants(80, name="a"), settled=True)]) == set()


def port(number: int) -> dict[str, Any]:
    return {"ports": [{"containerPort": 6379, "hostPort": number}]}


async def test_the_second_is_refused_and_the_port_is_free_again_later(tmp_path: Path) -> None:
    """Bound past the scheduler, which would not have sent it."""
    async with one_node(FakeRuntime("n1"), tmp_path) as node:
        await node.create(port(8080), name="first", terminationGracePeriodSeconds=0)
        await node.status(lambda status: status.phase == "Running", "first")
        await node.create(port(8080), name="second")
        status = await node.status(lambda status: status.phase == "Failed", "second")
        assert status.reason == "HostPortConflict"
        assert status.message == "Pod cannot be started due to host port conflict"
        await node.told("hostPortConflict", "", "Cannot start the pod due to host port conflict.", "second")
        assert not [each for each in await node.runtime.containers() if each.pod == "default/second"]
        await node.create(port(8081), name="beside")
        await node.status(lambda status: status.phase == "Running", "beside")
        await _restart(node)
        await node.client.delete(Pod, "first", "default")
        await node.gone("first")
        await node.create(port(8080), name="third")
        await node.status(lambda status: status.phase == "Running", "third")
        await node.status(lambda status: status.phase == "Failed", "second")  # as the original: it is not tried again


async def _restart(node: OneNode) -> None:
    """Who runs goes on running: it is not asked anew."""
    await node.end_kubelet()
    node.start_kubelet()
    for name in ("first", "beside"):
        await node.status(lambda status: status.phase == "Running", name)


async def test_of_two_that_come_together_one_runs(tmp_path: Path) -> None:
    async with one_node(FakeRuntime("n1"), tmp_path) as node:
        await node.end_kubelet()
        for name in ("b", "a"):
            await node.create(port(8080), name=name)
        node.start_kubelet()

        async def phases() -> set[str]:
            return {(await node.client.get(Pod, name, "default")).status.phase for name in ("a", "b")}

        await node.status(lambda status: status.phase != "Pending", "a")
        await node.status(lambda status: status.phase != "Pending", "b")
        assert await phases() == {"Running", "Failed"}
