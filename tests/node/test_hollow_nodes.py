"""Many nodes in one process, against real kube-apiserver, etcd, scheduler and controllers."""

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from labkit.api.types import Container as PodContainer
from labkit.api.types import (
    Node,
    ObjectMeta,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
)
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.components.kubelet.hollow import HollowNodes, names, network_of
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer

NODES, PODS = 25, 150
pytestmark = pytest.mark.timeout(180)


def test_their_names_and_networks() -> None:
    assert names(2) == ["hollow-001", "hollow-002"]
    assert names(1000, "h")[-1] == "h-1000"
    assert [network_of(number) for number in (0, 255, 256)] == ["100.64.0", "100.64.255", "100.65.0"]


def many(replicas: int) -> ReplicationController:
    spec = PodSpec(
        containers=[PodContainer(name="c", image="redis")], node_selector={"labkit/hollow": "true"},
        termination_grace_period_seconds=0,
    )  # fmt: skip
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": "many"}), spec=spec)
    return ReplicationController(
        metadata=ObjectMeta(name="many", namespace="default"),
        spec=ReplicationControllerSpec(replicas=replicas, selector={"app": "many"}, template=template),
    )


async def test_pods_run_on_them_and_end_with_them(etcd: EtcdServer, authority: Authority, tmp_path: Path) -> None:
    with api_server(tmp_path, etcd, authority) as server:
        await _play(server, tmp_path / "root")


async def _play(server: ApiServer, root: Path) -> None:
    context = server.context("admin", "system:masters")
    async with Client(server.url, context) as client, Client(server.url, context) as others:
        hollow = HollowNodes(client, names(NODES), root, start_seconds=0.05)
        work = [asyncio.create_task(run) for run in (Scheduler(others).run(), ControllerManager(others).run())]
        kubelets = asyncio.create_task(hollow.run())
        try:

            async def ready() -> bool:
                nodes = (await others.list(Node)).items
                well = [{c.type: c.status for c in node.status.conditions}.get("Ready") for node in nodes]
                return well == ["True"] * NODES

            await eventually(ready, 60, every=0.3, expect=f"{NODES} nodes Ready")
            await others.create(many(PODS))

            async def running() -> list[Pod]:
                pods = (await others.list(Pod, "default")).items
                return pods if sum(pod.status.phase == "Running" for pod in pods) == PODS else []

            pods = await eventually(running, 90, every=0.5, expect=f"{PODS} pods Running")
            assert len({pod.status.pod_ip for pod in pods}) == PODS
            assert all(pod.status.pod_ip.startswith("100.64.") for pod in pods)
            spread = Counter(pod.spec.node_name for pod in pods)
            assert len(spread) == NODES
            assert max(spread.values()) <= 3 * PODS // NODES
            assert hollow.count() == f"{NODES} nodes, {PODS} pods of which {PODS} run"
            found = await others.get(ReplicationController, "many", "default")
            found.spec.replicas = 10
            await others.update(found)

            async def scaled() -> bool:
                return len((await others.list(Pod, "default")).items) == 10

            await eventually(scaled, 60, every=0.3, expect="10 pods left")
            kubelets.cancel()
            await asyncio.gather(kubelets, return_exceptions=True)
            assert (await others.list(Node)).items == []
        finally:
            for task in (*work, kubelets):
                task.cancel()
            await asyncio.gather(*work, kubelets, return_exceptions=True)


def test_the_process_says_what_it_does_and_cleans_up(etcd: EtcdServer, authority: Authority, tmp_path: Path) -> None:
    with api_server(tmp_path, etcd, authority) as server:
        config = server.kubeconfig("admin", "system:masters")
        command = [sys.executable, "-m", "labkit.components.kubelet.hollow", f"--kubeconfig={config}", "--nodes=3"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                assert re.fullmatch(r"3 nodes, 0 pods of which 0 run\n", process.stdout.readline())
                assert asyncio.run(_nodes(server)) == names(3)
            finally:
                process.send_signal(signal.SIGINT)
            assert process.wait(40) == 0
        assert asyncio.run(_nodes(server)) == []


async def _nodes(server: ApiServer) -> list[str]:
    async with Client(server.url, server.context("admin", "system:masters")) as client:
        return sorted(node.metadata.name for node in (await client.list(Node)).items)
