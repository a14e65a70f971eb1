"""kube-dns as a process, asked by dig and by the C library, directly and through its own Service."""

import asyncio
import re
import resource
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from dnslib import RR, DNSRecord

from labkit.api.types import EndpointPort, Service, ServicePort
from labkit.testing.eventually import eventually
from tests.node.netns import NODE_IP, OUTSIDE_IP
from tests.node.world import Component, World, world

CLUSTER_DNS = "10.0.0.10"
REDIS = "redis-master.default.svc.cluster.local"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def start_dns(lab: World, *flags: str) -> Component:
    return await lab.start("kube_dns", f"--dns-bind-address={NODE_IP}", *flags, healthz_port=8081)


async def add_redis(lab: World) -> None:
    await lab.service("redis-master", "10.0.0.11", ServicePort(name="redis", port=6379, protocol="TCP"))


async def add_dns_service(lab: World) -> None:
    """As `labkit up` makes it: the Service has no selector, its Endpoints are where kube-dns listens."""
    ports = (ServicePort(name="dns", port=53, protocol="UDP"), ServicePort(name="dns-tcp", port=53, protocol="TCP"))
    await lab.service("kube-dns", CLUSTER_DNS, *ports)
    targets = tuple(EndpointPort(name=port.name, port=53, protocol=port.protocol) for port in ports)
    await lab.endpoints("kube-dns", NODE_IP, ports=targets)


async def dig(lab: World, space: str, server: str, *arguments: str) -> list[str]:
    """The lines of dig's answer, without blanks and remarks."""
    said = await lab.run(space, "dig", f"@{server}", "+tries=1", "+time=2", "+noall", *arguments)
    return [" ".join(line.split()) for line in said.splitlines() if line and not line.startswith(";")]


async def status(lab: World, server: str, *arguments: str) -> str:
    said = await lab.run("node", "dig", f"@{server}", "+tries=1", "+time=2", *arguments)
    return said.partition("status: ")[2].partition(",")[0]


async def test_names_of_services_over_udp_and_tcp(lab: World) -> None:
    await add_redis(lab)
    await start_dns(lab)
    for transport in ("+notcp", "+tcp"):
        assert await dig(lab, "node", NODE_IP, transport, "+answer", REDIS) == [f"{REDIS}. 30 IN A 10.0.0.11"]
    older = "redis-master.default.cluster.local"
    assert await dig(lab, "node", NODE_IP, "+answer", older) == [f"{older}. 30 IN A 10.0.0.11"]
    assert await dig(lab, "node", NODE_IP, "+short", f"_redis._tcp.{REDIS}", "SRV") == [f"10 10 6379 {REDIS}."]
    assert await dig(lab, "node", NODE_IP, "+short", "-x", "10.0.0.11") == [f"{REDIS}."]
    assert await status(lab, NODE_IP, REDIS, "AAAA") == "NOERROR"
    assert await status(lab, NODE_IP, f"nope.{REDIS}") == "NXDOMAIN"
    assert await status(lab, NODE_IP, "www.example.com") == "REFUSED"


async def test_it_follows_services_and_endpoints(lab: World) -> None:
    dns = await start_dns(lab)
    assert await status(lab, NODE_IP, REDIS) == "NXDOMAIN"
    await add_redis(lab)
    await eventually(lambda: dig(lab, "node", NODE_IP, "+short", REDIS), within=1)
    await lab.client.delete(Service, "redis-master", "default")

    async def gone() -> bool:
        return await status(lab, NODE_IP, REDIS) == "NXDOMAIN"

    await eventually(gone, within=1)
    await lab.service("web", "None", ServicePort(port=80, protocol="TCP"))
    name = "web.default.svc.cluster.local"
    for ips in (["10.244.2.7"], ["10.244.2.7", "10.244.3.2"], ["10.244.3.2"]):
        await lab.endpoints("web", *ips, ports=(EndpointPort(port=80, protocol="TCP"),))

        async def followed(expected: list[str] = ips) -> bool:
            return await dig(lab, "node", NODE_IP, "+short", name) == expected

        await eventually(followed, within=1)
    added = [line["record"] for line in dns.said(decision="record added", object="services/default/redis-master")]
    assert f"{REDIS}. A 10.0.0.11" in added
    assert dns.said(decision="record removed", cause="service deleted")


async def test_a_name_that_appears_later_is_found_in_spite_of_the_cache(lab: World) -> None:
    await start_dns(lab)
    for _ in range(3):
        assert await status(lab, NODE_IP, REDIS) == "NXDOMAIN"
    await add_redis(lab)
    await eventually(lambda: dig(lab, "node", NODE_IP, "+short", REDIS), within=1)


async def test_pods_ask_it_through_its_service(lab: World) -> None:
    await add_redis(lab)
    await add_dns_service(lab)
    await start_dns(lab)
    await lab.proxy()
    for space in ("pod-a", "node", "outside"):
        for transport in ("+notcp", "+tcp"):
            assert await dig(lab, space, CLUSTER_DNS, transport, "+short", REDIS) == ["10.0.0.11"]


@pytest.fixture
def resolv_conf(lab: World) -> Iterator[None]:
    """The resolv.conf that a pod of the namespace default has, for pod-a (`ip netns exec` puts it into place)."""
    folder = Path("/etc/netns") / lab.spaces["pod-a"].name
    there = folder.parent.exists()
    folder.mkdir(parents=True)
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    (folder / "resolv.conf").write_text(f"search {search}\nnameserver {CLUSTER_DNS}\noptions ndots:5\n")
    yield
    shutil.rmtree(folder)
    if not there:
        folder.parent.rmdir()


async def test_the_c_library_finds_short_names_by_the_search_list(lab: World, resolv_conf: None) -> None:
    await add_redis(lab)
    await add_dns_service(lab)
    await start_dns(lab)
    await lab.proxy()
    for name in ("redis-master", "redis-master.default", "redis-master.default.svc", REDIS, f"{REDIS}."):
        assert (await lab.run("pod-a", "getent", "ahosts", name)).split()[0] == "10.0.0.11"
    assert (await lab.run("pod-a", "getent", "hosts", "10.0.0.11")).split() == ["10.0.0.11", REDIS]
    with pytest.raises(AssertionError, match="getent"):
        await lab.run("pod-a", "getent", "hosts", "nope")


@pytest.fixture(scope="session")
def musl(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that looks a name up with musl's resolver, as the images of Alpine do."""
    compiler = shutil.which("musl-gcc") or pytest.fail("needs musl-gcc: apt-get install musl-tools")
    program = tmp_path_factory.mktemp("musl") / "lookup"
    subprocess.run([compiler, "-static", "-o", program, Path(__file__).with_name("lookup.c")], check=True)
    return str(program)


async def test_musl_and_busybox_find_what_the_c_library_finds(lab: World, resolv_conf: None, musl: str) -> None:
    await add_redis(lab)
    await add_dns_service(lab)
    await start_dns(lab)
    await lab.proxy()
    for name in ("redis-master", "redis-master.default", "redis-master.default.svc", REDIS, f"{REDIS}."):
        assert await lab.run("pod-a", musl, name) == "10.0.0.11\n"  # there is no AAAA, and that is no "no such name"
    with pytest.raises(AssertionError, match="Name does not resolve"):  # after REFUSED it waits, and says "Try again"
        await lab.run("pod-a", musl, "nope")
    busybox = await lab.run("pod-a", "busybox", "nslookup", REDIS)
    assert "10.0.0.11" in busybox
    assert "NXDOMAIN" not in busybox
    with pytest.raises(AssertionError, match="NXDOMAIN"):
        await lab.run("pod-a", "busybox", "nslookup", f"nope.{REDIS}")


async def test_a_change_is_answered_within_a_moment(lab: World) -> None:
    """The goal is 100 ms, the middle of many; the bound leaves room for a machine that does other things."""
    await start_dns(lab)
    await lab.service("web", "None", ServicePort(name="http", port=80, protocol="TCP"))
    sock = await lab.inside("node", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    question = DNSRecord.question("web.default.svc.cluster.local").pack()

    def addresses() -> set[str]:
        sock.sendto(question, (NODE_IP, 53))
        return {str(rr.rdata) for rr in DNSRecord.parse(sock.recv(4096)).rr}

    def wait_for(expected: set[str]) -> float:
        started = time.monotonic()
        while addresses() != expected:
            assert time.monotonic() - started < 10
            time.sleep(0.001)
        return time.monotonic() - started

    took = []
    with sock:
        sock.settimeout(5)
        for number in range(2, 17):
            waiting = asyncio.create_task(asyncio.to_thread(wait_for, {f"10.244.2.{number}"}))
            await lab.endpoints("web", f"10.244.2.{number}", ports=(EndpointPort(port=80, protocol="TCP"),))
            took.append(await waiting)
    print(f"changes were answered after {statistics.median(took) * 1000:.0f} ms")
    assert statistics.median(took) < 2, took


async def test_names_outside_are_forwarded_to_whom_is_listed_and_to_nobody_else(lab: World) -> None:
    upstream = await lab.inside("outside", lambda: _bound("0.0.0.0", 53))
    asked: list[str] = []

    def answer() -> None:
        packet, client = upstream.recvfrom(4096)
        question = DNSRecord.parse(packet)
        asked.append(str(question.q.qname))
        reply = question.reply()
        reply.add_answer(*RR.fromZone(f"{question.q.qname} 60 A 192.0.2.1"))
        upstream.sendto(reply.pack(), client)

    loop = asyncio.get_running_loop()
    loop.add_reader(upstream, answer)
    with upstream:
        await start_dns(lab, f"--forwarders={OUTSIDE_IP}")

        async def forwarded() -> bool:
            return await dig(lab, "node", NODE_IP, "+short", "www.example.com") == ["192.0.2.1"]

        await eventually(forwarded, within=10)
        assert await status(lab, NODE_IP, f"nope.{REDIS}") == "NXDOMAIN"
        assert await status(lab, NODE_IP, "-x", "10.0.9.9") == "NXDOMAIN"
        assert await status(lab, NODE_IP, "www") == "NXDOMAIN"
        assert await status(lab, NODE_IP, "+tcp", "www.example.com") == "SERVFAIL"  # nobody listens there on TCP
        loop.remove_reader(upstream)
    assert set(asked) == {"www.example.com."}
    assert await status(lab, NODE_IP, "www.example.com") == "SERVFAIL"  # at once: nobody listens there any more
    metrics = await lab.http("node", "127.0.0.1", 8081, "/metrics")
    assert 'kube_dns_forwards_total{result="failed"}' in metrics
    assert 'kube_dns_forwards_total{result="answered"} 0\n' not in metrics


def _bound(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind((address, port))
    return sock


async def test_zones_and_versions_are_handed_to_nobody(lab: World) -> None:
    await start_dns(lab)
    assert await status(lab, NODE_IP, "version.bind", "TXT", "CH") == "REFUSED"
    assert "Transfer failed" in await lab.run("node", "dig", f"@{NODE_IP}", "cluster.local", "AXFR")
    assert await status(lab, NODE_IP, "+edns=1", "+noednsnegotiation", "cluster.local") == "BADVERS"
    assert await dig(lab, "node", NODE_IP, "+ednsflags=0x40", "+nsid", "+short", "cluster.local", "SOA")


async def test_a_flood_is_dropped_and_told(lab: World) -> None:
    await add_redis(lab)
    dns = await start_dns(lab)
    before = _memory(dns)

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((NODE_IP, 53))
            until = time.monotonic() + 2
            number = 0
            while time.monotonic() < until:
                for _ in range(100):
                    number += 1
                    with suppress(OSError):
                        sock.send(DNSRecord.question(f"n{number}.default.svc.cluster.local").pack()[:-1] + b"\1")

    async def dropped() -> bool:
        """Told in the log and in the counts; flooded again where the machine was too slow to flood."""
        await asyncio.gather(*(lab.inside("outside", flood) for _ in range(2)))
        counted = re.search(
            r"kube_dns_queries_dropped_total (\d+)", await lab.http("node", "127.0.0.1", 8081, "/metrics")
        )
        return bool(counted and int(counted[1])) and bool(dns.said(message="queries dropped"))

    await eventually(dropped, within=60, expect="queries dropped")
    assert all(line["count"] > 0 for line in dns.said(message="queries dropped"))

    async def answered() -> bool:
        return await dig(lab, "node", NODE_IP, "+short", REDIS) == ["10.0.0.11"]

    await eventually(answered, within=10)
    told = len(dns.said(message="queries dropped"))
    for _ in range(20):
        assert await dig(lab, "node", NODE_IP, "+time=10", "+short", REDIS) == ["10.0.0.11"], "it heals"
    assert len(dns.said(message="queries dropped")) - told <= 1, "nothing is dropped any more"
    assert dns.process.returncode is None
    assert dns.errors == []
    assert _memory(dns) - before < 40 << 20


def _memory(dns: Component) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{dns.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def test_garbage_and_idle_connections_disturb_nobody(lab: World) -> None:
    await add_redis(lab)
    dns = await start_dns(lab)
    idle = [await lab.connect("node", NODE_IP, 53) for _ in range(220)]
    noise = await lab.inside("node", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with noise:
        for size in (0, 1, 11, 12, 100, 1400):
            noise.sendto(b"\xff" * size, (NODE_IP, 53))
            noise.sendto(b"\0" * size, (NODE_IP, 53))
    idle[-1].sendall(b"\xff\xff")
    idle[-2].sendall(b"\0\0" + b"\0\x0c" + b"\0" * 12)
    assert await asyncio.to_thread(idle[-2].recv, 100) == b"\0\x0c\0\0\x80\1\0\0\0\0\0\0\0\0"
    assert await dig(lab, "node", NODE_IP, "+short", REDIS) == ["10.0.0.11"]
    for sock in idle:
        sock.close()

    async def over_tcp() -> list[str]:
        return await dig(lab, "node", NODE_IP, "+tcp", "+short", REDIS)

    await eventually(over_tcp, within=3)
    assert dns.process.returncode is None

    async def told() -> bool:
        return bool(dns.said(message="malformed packets"))

    await eventually(told, within=5)
    assert dns.errors == []


async def test_sigterm_ends_it_in_time(lab: World) -> None:
    dns = await start_dns(lab)
    held = await lab.connect("node", NODE_IP, 53)
    with held:
        assert await dns.stop() == 0
