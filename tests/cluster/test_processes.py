"""kube-scheduler and kube-controller-manager as systemd runs them: processes with a kubeconfig."""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from labkit.api.types import Condition, Node, NodeStatus, ObjectMeta
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.testing.eventually import eventually
from tests.cluster.objects import pods, rc


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """A component that runs; `lines` is its log once it has ended."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    async def healthy(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url) as answer:
                return (answer.status, await answer.text()) == (200, "ok")
        except aiohttp.ClientError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/healthz"

    def decisions(self) -> list[dict[str, object]]:
        return [line for text in self.log.read_text().splitlines() if "decision" in (line := json.loads(text))]


@asynccontextmanager
async def component(name: str, server: str, tmp_path: Path) -> AsyncIterator[Process]:
    kubeconfig, log, port = tmp_path / "kubeconfig", tmp_path / f"{name}.log", free_port()
    config = {
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab"}}],
    }
    kubeconfig.write_text(json.dumps(config))
    with log.open("w") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"labkit.components.{name}",
            f"--kubeconfig={kubeconfig}",
            f"--port={port}",
            stdout=out,
        )
    try:
        yield Process(process, port, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_they_work_say_why_and_end_when_told(tmp_path: Path) -> None:
    async with (
        await start_in_process() as server,
        Client(server.base_url) as client,
        component("kube_scheduler", server.base_url, tmp_path) as scheduler,
        component("kube_controller_manager", server.base_url, tmp_path) as controllers,
    ):
        status = NodeStatus(
            capacity={"cpu": "1", "memory": "1Gi", "pods": "40"}, conditions=[Condition(type="Ready", status="True")]
        )
        await client.create(Node(metadata=ObjectMeta(name="agent1"), status=status))
        await client.create(rc(2))

        async def bound() -> bool:
            return [pod.spec.node_name for pod in await pods(client)] == ["agent1", "agent1"]

        await eventually(bound, 20, expect="both pods bound")
        await eventually(scheduler.healthy, 5)
        await eventually(controllers.healthy, 5)
        for running in (scheduler, controllers):
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.process.wait(), 5) == 0
            assert time.monotonic() - began < 5
    assigned = [line for line in scheduler.decisions() if line["decision"] == "assigned"]
    assert len(assigned) == 2
    assert assigned[0]["component"] == "kube-scheduler"
    assert assigned[0]["function"] == "labkit.components.kube_scheduler.algorithm:schedule"
    assert assigned[0]["node"] == "agent1"
    assert assigned[0]["cause"] in ("pod added", "node agent1 changed")
    made = [line for line in controllers.decisions() if line["decision"] == "created"]
    assert [line["cause"] for line in made] == ["replicationcontrollers/default/web"] * 2
    (scaled,) = [line for line in controllers.decisions() if line["decision"] == "scale"]
    assert (scaled["creates"], scaled["cause"]) == (2, "replicationcontrollers/default/web added")


async def test_they_wait_for_an_api_server_that_is_not_there_yet(tmp_path: Path) -> None:
    async with component("kube_scheduler", f"http://127.0.0.1:{free_port()}", tmp_path) as scheduler:

        async def waiting() -> bool:
            try:
                async with aiohttp.ClientSession() as session, session.get(scheduler.url) as answer:
                    return answer.status == 500 and "waits for kube-apiserver" in await answer.text()
            except aiohttp.ClientError:
                return False

        await eventually(waiting, 15, expect="a healthz that says what it waits for")
        scheduler.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(scheduler.process.wait(), 5) == 0


@pytest.mark.parametrize("name", ["kube_scheduler", "kube_controller_manager"])
async def test_a_wrong_flag_is_wrong_usage(name: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"labkit.components.{name}", f"--kubeconfig={tmp_path}/none",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"--kubeconfig: " in error
    assert b"none: cannot be read" in error
