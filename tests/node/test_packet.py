"""`labkit packet` on real rules, a real kube-proxy and real connections: its way, and each step that can be missing."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.api.types import EndpointPort, ServicePort
from labkit.components.kube_proxy.modes import MODES
from labkit.observe.journey import Journey
from labkit.testing.eventually import eventually
from tests.node.netns import NODE_IP, POD_IPS
from tests.node.packets import chains, functions, journey
from tests.node.world import World, world

pytestmark = pytest.mark.timeout(180)  # a probe for each question: many processes, one after the other

A, B = POD_IPS["pod-a"], POD_IPS["pod-b"]
PORT = (EndpointPort(port=8000, protocol="TCP"),)
WEB = "10.0.0.12"
ELSEWHERE = "10.244.3.9"  # a pod of agent2, which does not exist here


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def web(lab: World, *addresses: str) -> None:
    """The service web, 10.0.0.12:80 and node port 30080, with these endpoints."""
    await lab.service("web", WEB, ServicePort(port=80, protocol="TCP", node_port=30080), type="NodePort")
    await lab.endpoints("web", *addresses, ports=PORT)


def text(told: Journey) -> str:
    return "\n".join(fault.text for fault in told.faults)


async def test_the_way_through_the_userspace_proxy(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy()
    told = await journey(lab, "pod/pod-b", "web:80")
    assert (told.well, told.mode) == (True, "userspace"), told
    assert told.result.startswith('answered "pod-a\\n"')
    assert chains(told) == ["PREROUTING", "KUBE-PORTALS-CONTAINER"]
    assert functions(told) == ["jump_to_portals", "container_portal", "Balancer.next"]
    client, rules, carrier, end = told.stations
    local_port = re.search(r"--to-ports (\d+)", rules.rules[1].text)
    assert client.leaves
    assert rules.leaves
    assert carrier.leaves
    assert local_port
    assert client.leaves.source.startswith(f"{B}:")
    assert client.leaves.destination == f"{WEB}:80"
    assert rules.leaves.destination == f"10.244.2.1:{local_port[1]}"
    assert carrier.title == f"kube-proxy, process {proxy.process.pid}"
    assert carrier.leaves.destination == f"{A}:8000"
    assert end.title == "pod default/pod-a"
    assert [back.packet.source for back in told.back] == [f"{A}:8000", f"10.244.2.1:{local_port[1]}", f"{WEB}:80"]

    node = await journey(lab, "node/agent1", "web")
    assert (node.well, chains(node)) == (True, ["OUTPUT", "KUBE-PORTALS-HOST"])
    itself = await journey(lab, "pod/pod-a", "web")
    assert itself.well, text(itself)
    host = await journey(lab, "host", "web")
    assert (host.well, host.stations[0].machine) == (True, "host"), text(host)
    assert chains(host) == ["PREROUTING", "PREROUTING", "KUBE-NODEPORT-CONTAINER"]
    assert host.stations[-1].title == "pod default/pod-a"
    other = await journey(lab, "node/agent2", f"{NODE_IP}:30080")
    assert other.well, text(other)
    assert [station.machine for station in other.stations] == ["agent2", "agent1", "agent1", "agent1"]
    assert other.stations[0].leaves
    assert other.stations[0].leaves.source.startswith("10.245.1.13:")


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
async def test_the_way_through_the_kernel_s_own_rules(lab: World, mode: str) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy(f"--proxy-mode={mode}")
    told = await journey(lab, "pod/pod-b", "web")
    assert (told.well, told.mode) == (True, mode), text(told)
    expected = ["jump_to_services", "look_up_service", "cluster_ip", "choose", "dnat"]
    assert functions(told)[: 5 - (mode == "iptables")] == [
        name for name in expected if mode == "nftables" or name != "look_up_service"
    ]
    assert [station.title for station in told.stations if station.leaves and station.leaves.destination == f"{A}:8000"]
    assert told.stations[-1].title == "pod default/pod-a"
    assert [back.packet.source for back in told.back] == [f"{A}:8000", f"{WEB}:80"]
    itself = await journey(lab, "pod/pod-a", "web")
    assert itself.well, text(itself)
    assert {"mark_hairpin", "mark", "masquerade"} <= set(functions(itself))
    assert itself.back[0].packet.destination.startswith("10.244.2.1:"), "the answer goes to the machine"
    host = await journey(lab, "host", "web")
    assert host.well, text(host)
    assert {"node_port", "mark", "choose", "dnat", "masquerade"} <= set(functions(host))
    await lab.endpoints("web", B, ports=PORT)  # nobody listens there

    async def refused() -> bool:
        return f"endpoint {B}:8000 refused" in text(await journey(lab, "node/agent1", "web"))

    await eventually(refused, within=40)
    await lab.endpoints("web", ports=PORT)

    async def rejected() -> bool:
        none = await journey(lab, "pod/pod-b", "web")
        made = {"iptables": "reject", "nftables": "refuse"}[mode]
        return "nobody has made endpoints" in text(none) and made in functions(none)

    await eventually(rejected, within=40)
    await lab.endpoints("web", A, ports=PORT)

    async def well_again() -> bool:
        return (await journey(lab, "pod/pod-b", "web")).well

    await eventually(well_again, within=40)
    await proxy.stop()
    left = await journey(lab, "pod/pod-b", "web")
    assert "kube-proxy is not running on agent1; the rules that it left still stand" in text(left)
    assert left.result.startswith("answered"), "the kernel goes on without it"
    flush = {"iptables": "iptables -t nat -F KUBE-SERVICES", "nftables": "nft flush chain ip kube-proxy services"}
    await lab.run("node", "sh", "-c", flush[mode])
    flushed = await journey(lab, "pod/pod-b", "web")
    assert flushed.result.startswith("refused")
    assert "but the packet met none of them" in text(flushed)


async def test_a_datagram(lab: World) -> None:
    await lab.udp_backend("pod-a", 8000)
    await lab.service("echo", "10.0.0.16", ServicePort(port=9999, protocol="UDP"))
    await lab.endpoints("echo", A, ports=(EndpointPort(port=8000, protocol="UDP"),))
    await lab.proxy()
    told = await journey(lab, "pod/pod-b", "echo")
    assert told.well, text(told)
    assert told.result.startswith('answered "pod-a labkit packet\\n"')
    assert functions(told) == ["jump_to_portals", "container_portal", "Balancer.next"]
    assert told.stations[-1].title == "pod default/pod-a"


async def test_endpoints_that_are_missing_dead_or_out_of_reach(lab: World) -> None:
    await lab.backend("pod-b", 8000)
    await web(lab)
    await lab.proxy()
    none = await journey(lab, "pod/pod-b", "web")
    assert text(none) == "service default/web has no selector and nobody has made endpoints for it"
    assert none.result.startswith("closed")
    await lab.endpoints("web", A, B, ports=PORT)  # nobody listens on pod-a

    async def one_refused() -> bool:
        told = await journey(lab, "node/agent1", "web")
        return f"endpoint {A}:8000 refused: nothing listens" in text(told) and told.result.startswith("answered")

    await eventually(one_refused, within=40, expect="one of two endpoints was refused, the other answered")


async def test_routes_that_are_missing(lab: World) -> None:
    """To the endpoint's machine; and, for who sends from the machine itself, to the service's address."""
    await web(lab, ELSEWHERE)
    for mode in MODES:
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        told = await journey(lab, "pod/pod-b", "web", seconds=0.5)
        missing = "agent1 has no route to 10.244.3.0/24, the pods of agent2: {}; expected by 10.245.1.13"
        assert text(told) == missing.format("packets go to 10.245.1.254"), told
        assert (told.mode, told.well) == (mode, False)
        await lab.run("node", "ip", "route", "del", "default")
        told = await journey(lab, "pod/pod-b", "web", seconds=0.5)
        assert text(told) == missing.format("Network is unreachable"), told
        told = await journey(lab, "node/agent1", "web", seconds=0.5)
        assert text(told).startswith(f"agent1 has no route to {WEB}: Network is unreachable; without one"), told
        await lab.run("node", "ip", "route", "add", "default", "via", "10.245.1.254")
        await proxy.stop()


async def test_rules_that_were_flushed_and_a_proxy_that_is_gone(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    proxy = await lab.proxy()
    assert (await journey(lab, "pod/pod-b", "web")).well
    proxy.process.send_signal(signal.SIGSTOP)  # so that it does not put back what we take away
    stuck = await journey(lab, "pod/pod-b", "web", seconds=1)
    assert "has the request at its port" in text(stuck)
    await lab.run("node", "iptables", "-t", "nat", "-D", "PREROUTING", "1")
    jump = await journey(lab, "pod/pod-b", "web")
    assert "rules on agent1 name default/web: (4), but the packet met none of them" in text(jump)
    assert jump.result.startswith("refused")
    assert any("REJECT" in rule for rule in [each.text for station in jump.stations for each in station.rules])
    await lab.run("node", "sh", "-c", "for c in PORTALS-HOST PORTALS-CONTAINER NODEPORT-HOST NODEPORT-CONTAINER; do"
                  " iptables -t nat -F KUBE-$c; done")  # fmt: skip
    flushed = await journey(lab, "node/agent1", "web")
    assert text(flushed) == (
        "no rule on agent1 names default/web:: not written yet, or flushed; kube-proxy puts it back within 5 s"
    )
    proxy.process.send_signal(signal.SIGCONT)

    async def well_again() -> bool:
        return (await journey(lab, "pod/pod-b", "web")).well

    await eventually(well_again, within=40)
    await proxy.stop()
    gone = await journey(lab, "pod/pod-b", "web")
    assert "kube-proxy is not running on agent1; the rules that it left still stand" in text(gone)
    assert gone.result.startswith("refused")


async def test_it_leaves_nothing_behind(lab: World) -> None:
    await lab.backend("pod-a", 8000)
    await web(lab, A)
    await lab.proxy()
    before = await lab.run("node", "nft", "list", "tables")
    assert (await journey(lab, "pod/pod-b", "web")).well
    assert await lab.run("node", "nft", "list", "tables") == before
    request = json.dumps({"target": f"{NODE_IP}:30080", "client": "10.245.1.13:1", "seconds": 50}).encode()
    for number in (signal.SIGTERM, signal.SIGKILL):
        command = lab.spaces["node"].command(sys.executable, "-m", "labkit.probe")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdin
        assert process.stdout
        process.stdin.write(request)
        process.stdin.close()
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"armed\n"
        assert "labkit-packet-" in await lab.run("node", "nft", "list", "tables")
        process.send_signal(number)
        await process.wait()
        left = await lab.run("node", "nft", "list", "tables")
        assert ("labkit-packet-" in left) is (number is signal.SIGKILL)
    assert (await journey(lab, "pod/pod-b", "web")).well
    assert await lab.run("node", "nft", "list", "tables") == before, "the next one sweeps up after one that was killed"
