"""API servers and etcd are killed while everybody works: what was acknowledged is there, and watches go on.

Writers replace one object through two servers, each from the version that it read (compare and swap); readers read;
watchers follow: ours, an informer, kubernetes-py, `kubectl get -w`. The judge is tests/chaos/history.py.
"""

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import urllib3

from labkit.api.types import ConfigMap, ObjectMeta
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.chaos.crowd import Crowd, Follower
from tests.chaos.history import judge_all, judge_watch
from tests.chaos.play import record, records_of
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer
from tests.node.test_apiserver_kubectl import installed

KEY = "/registry/configmaps/default/c"


def is_level(watch: "Follower | PythonClient", last: int) -> bool:
    return watch.versions[-1:] == [last]


class PythonClient:
    """kubernetes-py's watch, taken up again as its documentation says."""

    def __init__(self, server: ApiServer, start: int) -> None:
        self.versions: list[int] = []
        self.problems: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._last, self._over = start, threading.Event()
        config = kubernetes.client.Configuration(host=server.url)
        config.ssl_ca_cert = str(server.authority.ca)
        config.cert_file, config.key_file = map(str, server.authority.issue("python", "system:masters"))
        config.retries = False
        self._api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(config))

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            watch = kubernetes.watch.Watch()
            list_maps = self._api.list_namespaced_config_map
            try:
                for event in watch.stream(list_maps, "default", resource_version=str(self._last), timeout_seconds=1):
                    self._last = int(event["object"].metadata.resource_version)
                    self.versions.append(self._last)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
            except Exception as error:  # told by the test
                self.problems.append(f"{type(error).__name__}: {error}")
                return

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)


@pytest.fixture
def servers(tmp_path: Path, etcd: EtcdServer, authority: Authority) -> Iterator[list[ApiServer]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(api_server(tmp_path, etcd, authority, flags=("--apiserver-count=2",))) for _ in range(2)
        ]


async def test_nothing_acknowledged_is_lost_and_watches_go_on(etcd: EtcdServer, servers: list[ApiServer]) -> None:
    async with Client(servers[0].url, servers[0].context("admin", "system:masters")) as client:
        made = await client.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"), data={"token": "-"}))
        start = int(made.metadata.resource_version)
        crowd, informer = Crowd(servers, ["c"]), Informer(client, ConfigMap)
        followers, python = [Follower(server, start) for server in servers], PythonClient(servers[1], start)
        kubectl = kubectl_watch(servers[0])
        assert kubectl.stdout
        assert (await asyncio.to_thread(kubectl.stdout.readline)).split() == ["NAME", "DATA", "AGE"]
        async with watching(python, informer.run(), *(follower.run() for follower in followers)):
            await kill_while_they_work(etcd, servers, crowd)
            # As with the original: when its connection ends, so does `kubectl get -w`, and nothing hangs.
            printed, _ = await asyncio.to_thread(kubectl.communicate, timeout=5)
            assert (kubectl.returncode, printed.split()[:1]) == (0, ["c"])
            latest = await client.get(ConfigMap, "c", "default")
            steps = await record(etcd, start - 1)
            versions = [step.revision for step in steps]
            for watch in (*followers, python):
                with contextlib.suppress(AssertionError):  # said better below
                    await eventually(partial(is_level, watch, versions[-1]), 10)
                judge_watch(versions[1:], watch.versions)
            await eventually(lambda: informer.store.get("default/c") == latest, 10, expect="the informer at the end")
    judge_all(records_of(steps), crowd.writes, crowd.reads)
    assert python.problems == []
    assert all(follower.lost for follower in followers)
    outcomes = Counter(min(write.version, 1) for write in crowd.writes)
    assert outcomes[1] > 50  # there was something to lose
    assert outcomes[0] > 10  # and somebody to refuse
    for server in servers:
        assert "Traceback" not in server.log.read_text()


def kubectl_watch(server: ApiServer) -> subprocess.Popen[str]:
    command = [installed(), f"--kubeconfig={server.kubeconfig('kubectl', 'system:masters')}", "get", "configmaps", "-w"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


async def kill_while_they_work(etcd: EtcdServer, servers: list[ApiServer], crowd: Crowd) -> None:
    workers = [asyncio.create_task(crowd.work(number)) for number in range(6)]
    for victim in (servers[0], etcd, servers[1], servers[0]):
        await asyncio.sleep(0.7)
        await asyncio.to_thread(victim.stop, signal.SIGKILL)
        await asyncio.to_thread(victim.start)
    await asyncio.sleep(0.5)
    crowd.stop()
    await asyncio.gather(*workers)


@contextlib.asynccontextmanager
async def watching(python: PythonClient, *others: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(other) for other in others]
    python.start()
    try:
        yield
    finally:
        await asyncio.to_thread(python.stop)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
