"""Many kube-proxies in one process: each has the rules of every service, in a table of its own."""

import asyncio
import sys
from pathlib import Path

import msgspec

from labkit.api.types import Service
from labkit.components.kube_proxy.hollow import HollowProxies, address_of, names
from labkit.testing.eventually import eventually
from labkit.testing.one_process import one_process
from tests.cluster.objects import service

PROXIES = 12


def test_each_has_an_address_of_its_own() -> None:
    assert [address_of(n) for n in (1, 249, 250, 1000)] == ["127.64.0.2", "127.64.0.250", "127.64.1.1", "127.64.4.1"]
    assert len({address_of(n) for n in range(1, 1001)}) == 1000
    assert names(2, "hollow") == ["hollow-001", "hollow-002"]


async def test_all_follow_the_services() -> None:
    async with one_process(nodes=[]) as cluster:
        hollow = HollowProxies(cluster.client, names(PROXIES, "hollow"))
        running = asyncio.create_task(hollow.run())
        try:
            web = service("web")
            web.spec.type, web.spec.ports[0].node_port = "NodePort", 31999  # each holds it, at an address of its own
            await cluster.client.create(web)

            def with_web() -> list[str]:
                return [
                    name for name, table in hollow.tables.items()
                    if any("default/web" in spec for specs in table.chains.values() for spec in specs)
                ]  # fmt: skip

            await eventually(lambda: len(with_web()) == PROXIES, 30, expect="rules of web in every table")
            assert {proxy.trouble for proxy in hollow.proxies.values()} == {""}
            assert hollow.count().startswith(f"{PROXIES} proxies, ")
            await cluster.client.delete(Service, "web", "default")
            await eventually(lambda: not with_web(), 30, expect="no rule of web anywhere")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_process_says_what_it_does(tmp_path: Path) -> None:
    async with one_process(nodes=[]) as cluster:
        config = tmp_path / "kubeconfig"
        config.write_bytes(msgspec.json.encode({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": cluster.server.base_url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
        }))  # fmt: skip
        command = [sys.executable, "-m", "labkit.components.kube_proxy.hollow", f"--kubeconfig={config}", "--nodes=3"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout
        try:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
        finally:
            process.terminate()
            ended = await asyncio.wait_for(process.wait(), 30)
        assert line.startswith(b"3 proxies, ")
        assert ended == 0
