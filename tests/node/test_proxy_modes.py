"""The three modes of kube-proxy on a machine of network namespaces: one table of expectations for all of them."""

import asyncio
import contextlib
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Event,
    Service,
    ServicePort,
)
from labkit.components.kube_proxy.modes import MODES
from labkit.testing.eventually import eventually
from tests.node import short_affinity
from tests.node.netns import NODE_IP, POD_IPS
from tests.node.world import World, world

A, B = POD_IPS["pod-a"], POD_IPS["pod-b"]
WEB, ECHO, MANY, EMPTY, MANUAL, PUBLIC = "10.0.0.12", "10.0.0.16", "10.0.0.17", "10.0.0.18", "10.0.0.19", "192.0.2.50"
SECOND = "/registry/services/specs/default/second"
EVERYWHERE = ("node", "pod-a", "pod-b", "outside")
KERNEL_MODES = [mode for mode in MODES if mode != "userspace"]


@dataclass(frozen=True)
class Reach:
    """Asked from one of `spaces`, ip:port is answered by a pod of `by`; by nobody when `by` is empty."""

    what: str
    ip: str
    port: int
    by: frozenset[str]
    spaces: tuple[str, ...] = EVERYWHERE
    protocol: str = "TCP"


BOTH, POD_A, NOBODY = frozenset({"pod-a", "pod-b"}), frozenset({"pod-a"}), frozenset[str]()
EXPECTATIONS = (
    Reach("a cluster IP, also from a pod that is an endpoint itself", WEB, 80, BOTH),
    Reach("a public IP", PUBLIC, 80, BOTH),
    Reach("a node port on the machine's address", NODE_IP, 30080, BOTH),
    Reach("a node port on the loopback", "127.0.0.1", 30080, BOTH, ("node",)),
    Reach("a node port on the pods' bridge", "10.244.2.1", 30080, BOTH, ("node", "pod-a", "pod-b")),
    Reach("UDP", ECHO, 53, BOTH, protocol="UDP"),
    Reach("UDP by a node port", NODE_IP, 30053, BOTH, protocol="UDP"),
    Reach("the first of several ports", MANY, 80, BOTH),
    Reach("another port, another target", MANY, 8081, POD_A),
    Reach("the same number by UDP", MANY, 80, BOTH, protocol="UDP"),
    Reach("no selector, endpoints made by hand", MANUAL, 80, POD_A),
    Reach("no endpoints", EMPTY, 80, NOBODY, ("node", "pod-a", "pod-b")),  # outside has a better way, and is told
    Reach("no endpoints, by its node port", NODE_IP, 30090, NOBODY),
    Reach("a port that the service does not have", WEB, 81, NOBODY, ("node", "pod-a")),
)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def tcp(port: int, name: str = "", **more: int) -> ServicePort:
    return ServicePort(name=name, port=port, protocol="TCP", **more)


def udp(port: int, name: str = "", **more: int) -> ServicePort:
    return ServicePort(name=name, port=port, protocol="UDP", **more)


def target(port: int, protocol: str = "TCP", name: str = "") -> EndpointPort:
    return EndpointPort(name=name, port=port, protocol=protocol)


async def every_shape(lab: World) -> None:
    """Backends, and the services of the table."""
    for pod in POD_IPS:
        await lab.backend(pod, 8000)
        await lab.udp_backend(pod, 8000)
    await lab.backend("pod-a", 9000)
    await lab.service("web", WEB, tcp(80, node_port=30080), type="NodePort", deprecated_public_ips=[PUBLIC])
    await lab.endpoints("web", A, B, ports=(target(8000),))
    await lab.service("echo", ECHO, udp(53, node_port=30053), type="NodePort")
    await lab.endpoints("echo", A, B, ports=(target(8000, "UDP"),))
    await lab.service("many", MANY, tcp(80, "http"), tcp(8081, "alt"), udp(80, "dns"))
    await lab.endpoints("many", A, B, ports=(target(8000, name="http"), target(8000, "UDP", "dns")))
    await add_subset(lab)
    await lab.service("empty", EMPTY, tcp(80, node_port=30090), type="NodePort")
    await lab.service("manual", MANUAL, tcp(80))
    await lab.endpoints("manual", A, ports=(target(9000),))
    await lab.service("headless", "None", tcp(80))


async def add_subset(lab: World) -> None:
    """The port alt of many is served by pod-a alone."""
    many = await lab.client.get(Endpoints, "many", "default")
    many.subsets.append(EndpointSubset(addresses=[EndpointAddress(ip=A)], ports=[target(9000, name="alt")]))
    await lab.client.update(many)


async def asked(lab: World, space: str, reach: Reach) -> str:
    """Which pod answers, "" when none does, and says so within a second."""
    began = time.monotonic()
    try:
        if reach.protocol == "UDP":
            return (await lab.ask_udp(space, reach.ip, reach.port, "x")).split()[0]
        return await lab.greeting(space, reach.ip, reach.port)
    except OSError:
        assert time.monotonic() - began < 2.5, f"{reach.what} from {space}: no answer instead of a refusal"
        return ""


async def meet_expectations(lab: World) -> None:
    for reach in EXPECTATIONS:
        for space in reach.spaces:
            heard = await asked(lab, space, reach)
            assert heard in (reach.by or {""}), f"{reach.what}: {reach.ip}:{reach.port} from {space}: {heard!r}"


async def table(lab: World) -> str:
    """Every rule of the machine, without counters and times."""
    saved = await lab.run("node", "iptables-save")
    nft = await lab.run("node", "sh", "-c", "nft -s list table ip kube-proxy 2>/dev/null || true")
    rules = [line for line in saved.splitlines() if not line.startswith(("#", ":"))]
    return "\n".join([*rules, *(re.sub(r"elements = {|,$| }$", "", line).strip() for line in nft.splitlines())])


@pytest.mark.parametrize("mode", MODES)
async def test_every_shape_of_service_is_reached(lab: World, mode: str) -> None:
    await every_shape(lab)
    await lab.proxy(f"--proxy-mode={mode}")
    await meet_expectations(lab)


async def test_modes_follow_each_other_on_a_running_machine(lab: World) -> None:
    """Also after a crash; what the one before has left is gone, what is somebody else's stays."""
    await every_shape(lab)
    bare = await table(lab)
    for mode in (*MODES, *reversed(MODES[:-1])):
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        saved = await table(lab)
        assert ("KUBE-PORTALS" in saved) == (mode == "userspace")
        assert ("KUBE-SVC" in saved) == (mode == "iptables")
        assert ("table ip kube-proxy" in saved) == (mode == "nftables")
        assert set(bare.splitlines()) <= set(saved.splitlines())
        assert await lab.greeting("pod-b", WEB, 80) in BOTH
        assert await lab.greeting("outside", NODE_IP, 30080) in BOTH
        proxy.process.kill()
        await proxy.process.wait()
    await lab.run("node", sys.executable, "-m", "labkit.components.kube_proxy", "--cleanup")
    assert await table(lab) == bare


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_changes_are_followed_and_nothing_else_is_written(lab: World, mode: str) -> None:
    await every_shape(lab)
    proxy = await lab.proxy(f"--proxy-mode={mode}")
    before = await table(lab)
    await lab.endpoints("web", B, ports=(target(8000),))

    async def only_b() -> bool:
        return [await lab.greeting("outside", WEB, 80) for _ in range(6)] == ["pod-b"] * 6

    await eventually(only_b, within=5)
    await lab.endpoints("web", A, B, ports=(target(8000),))

    async def as_before() -> bool:
        assert sorted((await table(lab)).splitlines()) == sorted(before.splitlines())
        return True

    await eventually(as_before, within=5)
    assert await proxy.stop() == 0
    assert await asked(lab, "pod-b", EXPECTATIONS[0]) in BOTH, "the kernel carries on without the process"
    again = await lab.proxy(f"--proxy-mode={mode}")
    assert not again.said(message="rules written"), "a restart that finds its rules writes nothing"
    assert await as_before()


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_session_affinity_and_its_end(lab: World, mode: str) -> None:
    """Twenty clients: that all of them get the same endpoint again by chance happens once in a million times."""
    for pod in POD_IPS:
        await lab.backend(pod, 8000)
    await lab.service("web", WEB, tcp(80), session_affinity="ClientIP")
    await lab.endpoints("web", A, B, ports=(target(8000),))
    await lab.proxy(f"--proxy-mode={mode}", module="tests.node.short_affinity")
    for space in ("outside", "node", "pod-a"):
        assert len({await lab.greeting(space, WEB, 80) for _ in range(8)}) == 1
    clients = [f"10.245.1.{number}" for number in range(100, 120)]
    adding = "; ".join(f"ip addr add {ip}/24 dev eth0" for ip in clients)
    await lab.run("outside", "sh", "-ec", adding)
    first = await lab.inside("outside", lambda: [_answers_from(ip, 3) for ip in clients])
    assert [len(each) for each in first] == [1] * 20, "the same one each time"
    assert len(set.union(*first)) == 2
    await asyncio.sleep(short_affinity.SECONDS + 0.5)
    assert await lab.inside("outside", lambda: [_answers_from(ip, 1) for ip in clients]) != first, "forgotten by now"


def _answers_from(client: str, times: int) -> set[str]:
    """Who answers a client with this address."""
    heard = set()
    for _ in range(times):
        with (
            socket.create_connection((WEB, 80), timeout=3, source_address=(client, 0)) as sock,
            sock.makefile() as lines,
        ):
            heard.add(lines.readline().strip())
    return heard


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_a_udp_flow_leaves_a_vanished_endpoint(lab: World, mode: str) -> None:
    for pod in POD_IPS:
        await lab.udp_backend(pod, 8000)
    await lab.service("echo", ECHO, udp(53))
    await lab.endpoints("echo", A, ports=(target(8000, "UDP"),))
    await lab.proxy(f"--proxy-mode={mode}")
    sock = await lab.inside("pod-b", _udp_client)
    with sock:
        assert await asyncio.to_thread(_ask, sock) == "pod-a"
        await lab.endpoints("echo", B, ports=(target(8000, "UDP"),))

        async def moved() -> bool:
            return await asyncio.to_thread(_ask, sock) == "pod-b"

        await eventually(moved, within=5, expect="the same client socket is answered by pod-b")


def _udp_client() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(1)
    sock.connect((ECHO, 53))
    return sock


def _ask(sock: socket.socket) -> str:
    with contextlib.suppress(OSError):
        sock.send(b"x")
        return sock.recv(100).decode().split()[0]
    return ""


FLUSHES = {
    "iptables": ("iptables -t nat -F KUBE-SERVICES; iptables -t nat -D OUTPUT 1; iptables -F KUBE-FIREWALL",
                 "iptables -t nat -F; iptables -t nat -X"),
    "nftables": ("nft flush map ip kube-proxy service-ips", "nft flush chain ip kube-proxy nat-output",
                 "nft delete table ip kube-proxy"),
}  # fmt: skip


def ours(saved: str) -> Counter[str]:
    """Kube-proxy's lines of a table, and how often each is there."""
    return Counter(line for line in saved.splitlines() if "KUBE" in line or not line.startswith("-A"))


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_flushed_rules_come_back_and_others_are_left_alone(lab: World, mode: str) -> None:
    await every_shape(lab)
    await lab.proxy(f"--proxy-mode={mode}")
    await lab.run("node", "iptables", "-A", "INPUT", "-s", "192.0.2.77", "-j", "DROP")
    before = await table(lab)
    for flush in FLUSHES[mode]:
        await lab.run("node", "sh", "-c", flush)
        assert await table(lab) != before

        async def back() -> bool:
            return not ours(before) - ours(await table(lab))

        await eventually(back, within=15)
        assert await lab.greeting("node", WEB, 80) in BOTH
    assert "192.0.2.77" in await table(lab)


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_bad_input_costs_only_itself(lab: World, mode: str) -> None:
    """Endpoints on the loopback and in the service range, a public IP of two services, a taken node port."""
    await lab.backend("pod-a", 8000)
    taken = await lab.inside("node", lambda: socket.create_server(("0.0.0.0", 30080)))
    with taken:
        await lab.service("web", WEB, tcp(80, node_port=30080), type="NodePort", deprecated_public_ips=[PUBLIC])
        await lab.service("twin", ECHO, tcp(80), deprecated_public_ips=[PUBLIC])
        for name in ("web", "twin"):
            await lab.endpoints(name, A, "10.0.0.99", ECHO, ports=(target(8000),))
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        await lab.service("other", "10.0.0.99", tcp(80))  # was a free address, and an endpoint, until now

        async def by_pod_a_alone() -> bool:
            heard = [
                await asked(lab, "pod-b", Reach("", ip, 80, POD_A)) for ip in (WEB, ECHO, PUBLIC) for _ in range(4)
            ]
            return heard == ["pod-a"] * 12

        await eventually(by_pod_a_alone, within=15)

        async def told() -> bool:
            events = {event.reason for event in (await lab.client.list(Event, "default")).items}
            return {"NodePortNotAvailable", "AddressNotAvailable", "EndpointNotUsable"} <= events

        await eventually(told)
        assert len([line for line in proxy.said(level="warning") if "port" in line]) == 2, "one for each, once"

    async def taken_over() -> bool:
        return await asked(lab, "outside", EXPECTATIONS[2]) == "pod-a"

    await eventually(taken_over, within=15, expect="the next resync takes the node port")
    await lab.client.delete(Service, "web", "default")

    async def inherited() -> bool:
        return f"-d {WEB}/32" not in await table(lab) and await asked(lab, "pod-b", EXPECTATIONS[1]) == "pod-a"

    await eventually(inherited, within=15, expect="the twin has the public IP")


@pytest.mark.parametrize("mode", KERNEL_MODES)
async def test_two_services_want_one_node_port(lab: World, mode: str) -> None:
    """kube-apiserver gives a number once, so the second is written past it: the first keeps the port until it goes."""
    await lab.backend("pod-a", 8000)
    await lab.backend("pod-b", 8000)
    for name, ip, pod, node_port in (("first", WEB, A, 30080), ("second", ECHO, B, 30081)):
        await lab.service(name, ip, tcp(80, node_port=node_port), type="NodePort")
        await lab.endpoints(name, pod, ports=(target(8000),))
    await lab.proxy(f"--proxy-mode={mode}")
    stored = await lab.storage.get(SECOND)
    assert stored
    await lab.storage.commit({}, put={SECOND: stored.value.replace(b"30081", b"30080")})

    async def told() -> bool:
        events = (await lab.client.list(Event, "default")).items
        return any("second" in event.involved_object.name and "default/first:" in event.message for event in events)

    await eventually(told, within=15, expect="an event on the second that names the first")
    for _ in range(4):
        assert await asked(lab, "outside", Reach("", NODE_IP, 30080, POD_A)) == "pod-a"
        assert await asked(lab, "pod-a", Reach("", ECHO, 80, BOTH)) == "pod-b", "by its own address it is reached"
    await lab.client.delete(Service, "first", "default")

    async def inherited() -> bool:
        return await asked(lab, "outside", Reach("", NODE_IP, 30080, BOTH)) == "pod-b"

    await eventually(inherited, within=20, expect="the second has the node port")
