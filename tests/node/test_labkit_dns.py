"""`labkit dns` with a real kube-dns behind a real kube-proxy: what it finds, and each step that can be missing."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit.api.types import EndpointPort, Endpoints, Service, ServicePort
from labkit.components.kube_proxy.modes import MODES
from labkit.observe import lookup, name_faults
from labkit.observe.ends import parse_asker
from labkit.observe.lookup import Lookup
from labkit.observe.objects import Objects
from labkit.testing.eventually import eventually
from tests.node.netns import NODE_IP, POD_IPS
from tests.node.packets import Shell, cluster
from tests.node.world import World, world
from tests.unit.observe import pod

pytestmark = pytest.mark.timeout(180)
CLUSTER_DNS = "10.0.0.10"


class PodShell(Shell):
    """With the resolv.conf that the kubelet would have made."""

    def __init__(self, lab: World, resolv_conf: Path) -> None:
        super().__init__(lab, "agent1")
        self.resolv_conf = resolv_conf

    def _with_namespace(self, asked: bytes) -> bytes:
        request = msgspec.json.decode(super()._with_namespace(asked))
        return msgspec.json.encode(request | {"resolvConf": str(self.resolv_conf)})


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.service("redis-master", "10.0.0.11", ServicePort(name="redis", port=6379, protocol="TCP"))
        ports = (ServicePort(name="dns", port=53, protocol="UDP"), ServicePort(name="dns-tcp", port=53, protocol="TCP"))
        await made.service("kube-dns", CLUSTER_DNS, *ports, namespace="kube-system")
        targets = tuple(EndpointPort(name=port.name, port=53, protocol=port.protocol) for port in ports)
        await made.endpoints("kube-dns", NODE_IP, ports=targets, namespace="kube-system")
        yield made


async def ask(lab: World, folder: Path, name: str, kind: str = "A") -> Lookup:
    """As pod-a of namespace default, on agent1, which is the node here."""
    conf = folder / "resolv.conf"
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    conf.write_text(f"search {search}\nnameserver {CLUSTER_DNS}\noptions ndots:5\n")
    services, endpoints = await lab.client.list(Service), await lab.client.list(Endpoints)
    known = Objects([pod("pod-a", "agent1", POD_IPS["pod-a"])], services.items, endpoints.items)
    place = lookup.place(parse_asker("pod-a"), name, kind, known, cluster())

    def look() -> Any:
        return lookup.investigate(place, known, cluster(), 3.0, lambda _: PodShell(lab, conf))

    evidence = await lab.inside("node", look)
    return lookup.tell(evidence, name_faults.find(evidence, cluster()))


def outcomes(told: Lookup) -> list[tuple[str, str]]:
    return [(step.name.removesuffix(".cluster.local."), step.outcome) for step in told.steps]


def text(told: Lookup) -> str:
    return "\n".join(fault.text for fault in told.faults)


async def start(lab: World) -> None:
    await lab.start("kube_dns", f"--dns-bind-address={NODE_IP}", healthz_port=8081)
    await lab.proxy()

    async def through() -> bool:
        return "10.0.0.11" in await lab.run("pod-a", "dig", "+short", "+tries=1", "+time=1", f"@{CLUSTER_DNS}",
                                            "redis-master.default.svc.cluster.local")  # fmt: skip

    await eventually(through, within=20)


async def test_names_that_exist_and_names_that_do_not(lab: World, tmp_path: Path) -> None:
    await start(lab)
    found = await ask(lab, tmp_path, "redis-master")
    assert found.well
    assert outcomes(found) == [("redis-master.default.svc", "NOERROR")]
    assert found.result == "redis-master is 10.0.0.11, the service default/redis-master"
    assert found.steps[0].server == f"10.0.0.10:53 = service kube-system/kube-dns, behind it {NODE_IP}"
    assert [(each.ttl, each.data) for each in found.steps[0].records] == [(30, "10.0.0.11")]
    second = await ask(lab, tmp_path, "redis-master.default")
    assert outcomes(second) == [
        ("redis-master.default.default.svc", "NXDOMAIN"),
        ("redis-master.default.svc", "NOERROR"),
    ]
    srv = await ask(lab, tmp_path, "_redis._tcp.redis-master.default.svc.cluster.local.", "SRV")
    assert [each.data for each in srv.steps[0].records] == ["10 10 6379 redis-master.default.svc.cluster.local."]
    assert (await ask(lab, tmp_path, "10.0.0.11")).result.endswith("is redis-master.default.svc.cluster.local.")

    typo = await ask(lab, tmp_path, "redis-mastre")
    assert [each for _, each in outcomes(typo)] == ["NXDOMAIN"] * 4
    assert text(typo) == "there is no service redis-mastre in namespace default; did you mean redis-master?"
    assert "has no AAAA record" in text(await ask(lab, tmp_path, "redis-master", "AAAA"))
    outside = await ask(lab, tmp_path, "www.example.com")
    assert outcomes(outside)[-1] == ("www.example.com.", "REFUSED")
    assert "kube-dns asks nobody outside" in text(outside)
    await lab.service("web", "None", ServicePort(port=80, protocol="TCP"))
    assert text(await ask(lab, tmp_path, "web")).endswith("and none is ready")
    elsewhere = await ask(lab, tmp_path, "kube-dns")
    assert text(elsewhere) == "there is no service kube-dns in namespace default, but one in kube-system"


FLUSH = {
    "userspace": "for c in PORTALS-HOST PORTALS-CONTAINER; do iptables -t nat -F KUBE-$c; done",
    "iptables": "iptables -t nat -F KUBE-SERVICES; iptables -F KUBE-SERVICES",
    "nftables": "nft flush map ip kube-proxy service-ips",
}


@pytest.mark.parametrize("mode", MODES)
async def test_each_step_that_can_be_missing(lab: World, tmp_path: Path, mode: str) -> None:
    dns = await lab.start("kube_dns", f"--dns-bind-address={NODE_IP}", healthz_port=8081)
    without_proxy = await ask(lab, tmp_path, "redis-master")
    assert not without_proxy.steps[0].records
    assert text(without_proxy) == "kube-proxy is not running on agent1: no rule names 10.0.0.10"
    proxy = await lab.proxy(f"--proxy-mode={mode}")

    async def well() -> bool:
        return (await ask(lab, tmp_path, "redis-master")).well

    await eventually(well, within=20)
    proxy.process.send_signal(signal.SIGSTOP)  # so that it does not put back what we take away
    await lab.run("node", "sh", "-c", FLUSH[mode])
    flushed = text(await ask(lab, tmp_path, "redis-master"))
    assert flushed.startswith(f"no rule on agent1 names 10.0.0.10 (kube-proxy runs in {mode} mode): flushed"), flushed
    proxy.process.send_signal(signal.SIGCONT)
    await dns.stop()
    down = text(await ask(lab, tmp_path, "redis-master"))
    assert down.startswith(f"kube-dns does not answer at {NODE_IP}:53 either (nobody listens): it is down")
    await lab.endpoints("kube-dns", ports=(), namespace="kube-system")
    assert "service kube-system/kube-dns has no endpoints" in text(await ask(lab, tmp_path, "redis-master"))
    await proxy.stop()
    await lab.client.delete(Service, "kube-dns", "kube-system")
    assert "there is no service kube-system/kube-dns" in text(await ask(lab, tmp_path, "redis-master"))
