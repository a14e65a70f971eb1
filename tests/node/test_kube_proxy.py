"""kube-proxy as a process on a machine of network namespaces: real iptables, real connections."""

import asyncio
import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.api.types import EndpointPort, Event, Namespace, ObjectMeta, Service, ServicePort
from labkit.components.kube_proxy.nat import parse
from labkit.testing.eventually import eventually
from tests.node.netns import NODE_IP, POD_IPS
from tests.node.world import Component, World, world
from tests.unit.components.kube_proxy import recorded

PYTHON_M = (sys.executable, "-m")
A, B = POD_IPS["pod-a"], POD_IPS["pod-b"]
PORT = (EndpointPort(port=8000, protocol="TCP"),)
UDP_PORT = (EndpointPort(port=8000, protocol="UDP"),)
WEB = "10.0.0.12"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def web(lab: World, *addresses: str, **spec: object) -> None:
    """The service web, 10.0.0.12:80, with these endpoints."""
    await lab.service("web", WEB, ServicePort(port=80, protocol="TCP"), **spec)
    await lab.endpoints("web", *addresses, ports=PORT)


async def rules(lab: World) -> list[str]:
    """Every rule of kube-proxy, as iptables-save prints it."""
    saved = await lab.run("node", "iptables-save", "-t", "nat")
    return [line for line in saved.splitlines() if line.startswith("-A") and "KUBE-" in line]


async def without_ports(lab: World) -> list[str]:
    return sorted(recorded.anonymous(rule, NODE_IP) for rule in await rules(lab))


async def seen(lab: World, space: str, ip: str, port: int, count: int) -> list[str]:
    return [await lab.greeting(space, ip, port) for _ in range(count)]


@pytest.mark.parametrize(
    ("section", "flags"), [("everywhere", ()), ("bound to one address", (f"--bind-address={NODE_IP}",))]
)
async def test_the_table_is_the_original_s(lab: World, section: str, flags: tuple[str, ...]) -> None:
    await add_recorded_services(lab, section)
    proxy = await lab.proxy(*flags)
    ours = {"default/kubernetes:"}  # 10.0.0.1:443 here, as since 1.0; the recorded one was 10.0.0.2
    expected = [rule for rule in recorded.rules(section) if "default/kubernetes" not in rule]

    async def as_recorded() -> bool:
        return [rule for rule in await without_ports(lab) if not any(name in rule for name in ours)] == sorted(expected)

    await eventually(as_recorded, within=5)
    for builtin in ("PREROUTING", "OUTPUT"):
        chain = parse(await lab.run("node", "iptables-save", "-t", "nat"))[builtin]
        assert chain[0].endswith(f"-j KUBE-PORTALS-{'CONTAINER' if builtin == 'PREROUTING' else 'HOST'}")
        assert chain[-1].endswith(f"-j KUBE-NODEPORT-{'CONTAINER' if builtin == 'PREROUTING' else 'HOST'}")
    told = {line["rule"]: line for line in proxy.said(decision="rule added")}
    assert sorted(told) == sorted(await rules(lab))
    assert {line["function"].rpartition(":")[2] for line in told.values()} == {
        "container_portal", "host_portal", "container_node_port", "host_node_port", "jump_to_portals",
        "jump_to_node_ports",
    }  # fmt: skip


async def add_recorded_services(lab: World, section: str) -> None:
    for service in recorded.services(section):
        if service.metadata.namespace != "default":
            await lab.client.create(Namespace(metadata=ObjectMeta(name=service.metadata.namespace)))
        if not service.metadata.name.startswith("kubernetes"):
            await lab.client.create(service)


async def test_a_new_service_is_reached_within_a_second_from_everywhere(lab: World) -> None:
    await lab.proxy()
    await lab.backend("pod-a", 8000)
    began = time.monotonic()
    await web(lab, A)

    async def reached() -> bool:
        return await lab.greeting("node", WEB, 80) == "pod-a"

    await eventually(lambda: _connected(reached), within=1.0)
    assert time.monotonic() - began < 1.0
    for space in ("pod-b", "outside", "pod-a"):  # pod-a reaches itself through its service
        assert await lab.greeting(space, WEB, 80) == "pod-a"


async def _connected(reached: object) -> bool:
    try:
        return bool(await reached())  # type: ignore[operator]
    except OSError:
        return False


async def test_endpoints_are_taken_in_turn_and_followed(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await lab.backend("pod-b", 8000)
    await web(lab, A, B)
    await lab.proxy()
    names = await seen(lab, "outside", WEB, 80, 6)
    assert sorted(names) == ["pod-a"] * 3 + ["pod-b"] * 3
    assert names[0::2] == [names[0]] * 3
    await lab.endpoints("web", B, ports=PORT)

    async def only_b() -> bool:
        return await seen(lab, "node", WEB, 80, 3) == ["pod-b"] * 3

    await eventually(only_b, within=1.0)


async def test_random_balancing_is_a_switch(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await lab.backend("pod-b", 8000)
    await web(lab, A, B)
    await lab.proxy("--balancing=random")
    names = await seen(lab, "outside", WEB, 80, 40)
    assert set(names) == {"pod-a", "pod-b"}
    assert any(names[n] == names[n + 1] for n in range(39)), "in turn, not by chance"


async def test_an_endpoint_that_is_a_service_is_told_and_disturbs_nothing(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    await lab.service("circle", "10.0.0.13", ServicePort(port=80, protocol="TCP"))
    await lab.endpoints("circle", "10.0.0.13", ports=(EndpointPort(port=80, protocol="TCP"),))
    await lab.proxy()
    with await lab.connect("pod-a", "10.0.0.13", 80) as sock:
        assert await asyncio.to_thread(_received, sock) == b""
    assert await lab.greeting("pod-a", WEB, 80) == "pod-a"

    async def told() -> bool:
        events = (await lab.client.list(Event, "default")).items
        return [event.reason for event in events if event.involved_object.name == "circle"] == ["EndpointNotUsable"]

    await eventually(told, within=10)


async def test_client_ip_affinity(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await lab.backend("pod-b", 8000)
    await web(lab, A, B, session_affinity="ClientIP")
    await lab.proxy()
    for space in ("outside", "pod-a"):
        assert len(set(await seen(lab, space, WEB, 80, 4))) == 1


async def test_udp_each_client_keeps_its_endpoint(lab: World) -> None:
    await lab.udp_backend("pod-a", 8000)
    await lab.udp_backend("pod-b", 8000)
    await lab.service("echo", "10.0.0.16", ServicePort(port=53, protocol="UDP", node_port=30053), type="NodePort")
    await lab.endpoints("echo", A, B, ports=UDP_PORT)
    await lab.proxy()
    for space in ("node", "pod-a", "outside"):
        answers = {await lab.ask_udp(space, "10.0.0.16", 53, f"hi {n}") for n in range(2)}
        assert answers in ({"pod-a hi 0", "pod-b hi 1"}, {"pod-b hi 0", "pod-a hi 1"})
    for space, ip in (("outside", NODE_IP), ("node", NODE_IP), ("node", "127.0.0.1"), ("pod-b", "10.244.2.1")):
        assert (await lab.ask_udp(space, ip, 30053, "port")).endswith(" port")


async def test_node_ports_and_public_addresses(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    port = ServicePort(port=80, protocol="TCP", node_port=30080)
    await lab.service("web", WEB, port, type="NodePort", deprecated_public_ips=["192.0.2.50"])
    await lab.endpoints("web", A, ports=PORT)
    await lab.proxy()
    for space, ip in (("outside", NODE_IP), ("node", NODE_IP), ("node", "127.0.0.1"), ("pod-b", NODE_IP)):
        assert await lab.greeting(space, ip, 30080) == "pod-a"
    for space in ("outside", "node", "pod-b"):
        assert await lab.greeting(space, "192.0.2.50", 80) == "pod-a"
    with pytest.raises(OSError, match="in use"):
        await lab.inside("node", lambda: socket.create_server(("0.0.0.0", 30080)))


async def test_a_node_port_that_is_taken_costs_only_itself(lab: World) -> None:
    taken = await lab.inside("node", lambda: socket.create_server(("0.0.0.0", 30080)))
    with taken:
        await lab.backend("pod-a", 8000)
        await lab.service("web", WEB, ServicePort(port=80, protocol="TCP", node_port=30080), type="NodePort")
        await lab.endpoints("web", A, ports=PORT)
        proxy = await lab.proxy()
        assert await lab.greeting("pod-b", WEB, 80) == "pod-a"
        assert not [rule for rule in await rules(lab) if "30080" in rule]
        (warning,) = proxy.said(level="warning", port="default/web:")
        assert "node port 30080" in warning["message"]

        async def told() -> bool:
            events = (await lab.client.list(Event, "default")).items
            return [event.reason for event in events if event.involved_object.name == "web"] == ["NodePortNotAvailable"]

        await eventually(told)

    async def taken_over() -> bool:
        return len([rule for rule in await rules(lab) if "30080" in rule]) == 2

    await eventually(taken_over, within=7, expect="the next resync takes the port")


async def test_no_endpoints_closes_the_connection_at_once(lab: World) -> None:
    await web(lab)
    await lab.proxy()
    began = time.monotonic()
    with await lab.connect("pod-a", WEB, 80) as sock:
        assert await asyncio.to_thread(_received, sock) == b""
    assert time.monotonic() - began < 0.5


def _received(sock: socket.socket) -> bytes:
    """Everything until the end, which may be a reset."""
    try:
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))
    except ConnectionResetError:
        return b""


async def test_a_dead_backend_costs_a_try_not_the_connection(lab: World) -> None:
    await lab.backend("pod-b", 8000)
    await web(lab, A, B)  # nobody listens on pod-a: refused at once
    proxy = await lab.proxy()
    assert await seen(lab, "node", WEB, 80, 4) == ["pod-b"] * 4
    await lab.endpoints("web", "10.244.2.77", B, ports=PORT)  # nobody is there: no answer for a second
    await eventually(lambda: len(proxy.said(decision="endpoints", port="default/web:")) == 2)
    began = time.monotonic()
    assert await seen(lab, "node", WEB, 80, 2) == ["pod-b"] * 2
    assert 0.9 < time.monotonic() - began < 3


async def test_half_close_and_back_pressure(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    await lab.proxy()
    payload = bytes(range(256)) * 65536  # 16 MB: more than all buffers on the way
    with await lab.connect("pod-b", WEB, 80) as sock:

        def send() -> None:
            sock.sendall(payload)
            sock.shutdown(socket.SHUT_WR)

        sending = asyncio.create_task(asyncio.to_thread(send))
        await asyncio.sleep(0.3)  # the client does not read: everything on the way fills up
        received = await asyncio.to_thread(_received, sock)
        await sending
    assert received == b"pod-a\n" + payload


async def test_a_reset_is_passed_on_as_a_reset(lab: World) -> None:
    server = lab.spaces["pod-a"].call(lambda: socket.create_server(("0.0.0.0", 8000)))
    with server:
        await web(lab, A)
        await lab.proxy()
        with await lab.connect("pod-b", WEB, 80) as client:
            client.send(b"x")
            backend, _ = await asyncio.to_thread(server.accept)
            backend.recv(1)
            backend.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            backend.close()
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 1)


async def test_flushed_rules_come_back_and_others_are_left_alone(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy()
    before = await rules(lab)
    await lab.run("node", "sh", "-c", "iptables -t nat -F KUBE-PORTALS-HOST; iptables -t nat -D OUTPUT 1")
    await lab.run("node", "iptables", "-t", "nat", "-A", "DOCKER", "-i", "cbr0", "-j", "RETURN")

    async def back() -> bool:
        return sorted(await rules(lab)) == sorted(before)

    await eventually(back, within=7)
    assert await lab.greeting("node", WEB, 80) == "pod-a"
    assert proxy.said(decision="rule added", cause="the rule was not there any more")
    saved = await lab.run("node", "iptables-save", "-t", "nat")
    assert "-A DOCKER -i cbr0 -j RETURN" in saved
    await lab.run("node", "iptables", "-t", "nat", "-F")
    await lab.run("node", "iptables", "-t", "nat", "-X")
    await eventually(back, within=7, expect="everything back after the whole table was flushed")


async def test_a_deleted_service_leaves_nothing(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await lab.proxy()
    bare, sockets = await rules(lab), await listening(lab)
    await web(lab, A)
    await eventually(lambda: _rules_of_web(lab), within=2)
    await lab.client.delete(Service, "web", "default")

    async def gone() -> bool:
        return await rules(lab) == bare and await listening(lab) == sockets

    await eventually(gone, within=2)
    with pytest.raises(ConnectionRefusedError):
        await lab.connect("node", WEB, 80)


async def _rules_of_web(lab: World) -> list[str]:
    return [rule for rule in await rules(lab) if "default/web:" in rule]


async def listening(lab: World) -> list[str]:
    """The addresses on which something listens."""
    return sorted(line.split()[3] for line in (await lab.run("node", "ss", "-Hltn")).splitlines())


async def test_a_restart_keeps_rules_and_local_ports(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    first = await lab.proxy()
    assert await lab.greeting("pod-b", WEB, 80) == "pod-a"
    before = await rules(lab)
    assert await first.stop() == 0
    assert await rules(lab) == before
    counted = await lab.run("node", "iptables-save", "-c", "-t", "nat")
    second = await lab.proxy()
    assert await lab.greeting("pod-b", WEB, 80) == "pod-a"
    assert await rules(lab) == before
    assert "[1:60] -A KUBE-PORTALS-CONTAINER" in counted
    assert "[2:120] -A KUBE-PORTALS-CONTAINER" in await lab.run("node", "iptables-save", "-c", "-t", "nat")
    assert not second.said(decision="rule added")
    assert second.said(decision="rule kept")


async def test_connections_wait_while_it_restarts(lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is systemd: it holds the sockets that kube-proxy sends, and hands them to the next one."""
    await lab.backend("pod-a", 8000)
    await lab.udp_backend("pod-a", 8000)
    ports = (("t", "TCP"), ("u", "UDP"))
    await lab.service("web", WEB, *(ServicePort(name=name, port=80, protocol=protocol) for name, protocol in ports))
    targets = tuple(EndpointPort(name=name, port=8000, protocol=protocol) for name, protocol in ports)
    await lab.endpoints("web", A, ports=targets)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        first = await lab.proxy()
        kept = _stored(manager)
        assert sorted(name.partition("-")[0] for name in kept) == ["tcp", "tcp", "udp"]  # kubernetes is one of them
        assert await first.stop() == 0
        waiting = await lab.connect("pod-b", WEB, 80)
        waiting.settimeout(30)  # a process of Python's takes its time to start on a machine at work
        asked = asyncio.create_task(lab.ask_udp("node", WEB, 80, "meanwhile", within=30))
        await lab.proxy(prefix=(sys.executable, "-c", _AS_SYSTEMD_DOES), pass_fds=tuple(kept.values()))
        with waiting, waiting.makefile() as lines:
            assert await asyncio.to_thread(lines.readline) == "pod-a\n"
        assert await asked == "pod-a meanwhile"
        assert _stored(manager) == {}
        await lab.client.delete(Service, "web", "default")
        given_up: list[str] = []

        def both_given_up() -> bool:
            given_up.extend(_given_up(manager))
            return len(given_up) == 2 and set(given_up) < set(kept)

        await eventually(both_given_up)
        for sock in kept.values():
            os.close(sock)


_AS_SYSTEMD_DOES = """
import fcntl, os, stat, sys
given = [int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}")]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in given if stat.S_ISSOCK(os.fstat(fd).st_mode)]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
os.closerange(3 + len(high), 400)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
os.execvp(sys.argv[1], sys.argv[1:])
"""


def _stored(manager: socket.socket) -> dict[str, int]:
    """The descriptors that were sent for keeping, by name."""
    kept = {}
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(manager, 1000, 1)
        except BlockingIOError:
            return kept
        if text.startswith(b"FDSTORE=1"):
            kept[text.decode().partition("FDNAME=")[2]] = descriptors[0]


def _given_up(manager: socket.socket) -> list[str]:
    """The names that need not be kept any more, of the messages since the last look."""
    names = []
    with contextlib.suppress(BlockingIOError):
        while text := manager.recv(1000).decode():
            if text.startswith("FDSTOREREMOVE=1"):
                names.append(text.partition("FDNAME=")[2])
    return names


async def test_cleanup_removes_everything_of_ours(lab: World) -> None:
    before = await lab.run("node", "iptables", "-t", "nat", "-S")
    proxy = await lab.proxy()
    assert await lab.run("node", "iptables", "-t", "nat", "-S") != before
    await proxy.stop()
    command = [*PYTHON_M, "labkit.components.kube_proxy", "--cleanup"]
    assert "rules removed" in await lab.run("node", *command)
    assert await lab.run("node", "iptables", "-t", "nat", "-S") == before
    assert "no rules" in await lab.run("node", *command)


async def test_at_the_limit_of_open_files_it_waits_says_so_once_and_recovers(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy(prefix=("prlimit", "--nofile=228:228"))
    held = [await lab.connect("node", WEB, 80) for _ in range(80)]
    await eventually(lambda: proxy.said(message="out of descriptors: no new connections"), within=3)
    cpu = _cpu_seconds(proxy)
    await asyncio.sleep(0.5)
    assert _cpu_seconds(proxy) - cpu < 0.1, "it spins"
    for sock in held:
        sock.close()
    await eventually(lambda: proxy.said(message="accepting new connections again"), within=3)
    assert await lab.greeting("node", WEB, 80) == "pod-a"
    assert len(proxy.said(message="out of descriptors: no new connections")) == 1


def _cpu_seconds(component: Component) -> float:
    fields = Path(f"/proc/{component.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def test_closed_connections_leave_no_descriptor(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy()
    descriptors = Path(f"/proc/{proxy.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    held = [await lab.connect("pod-b", WEB, 80) for _ in range(40)]
    await eventually(lambda: len(list(descriptors.iterdir())) >= before + 80)
    for sock in held[::2]:
        sock.shutdown(socket.SHUT_WR)
    for sock in held:
        sock.close()
    await eventually(lambda: len(list(descriptors.iterdir())) <= before)
