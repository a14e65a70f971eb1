"""API servers and etcd are killed while everybody works: what was acknowledged is there, and watches go on.

Writers replace one object through two servers, each from the version that it read (compare and swap); readers read;
watchers follow. etcd's own record of the object then is the judge:

    etcd        40 -> 41 -> 43 -> 44 -> ...      each version made from the one before it: nobody overwrote unseen
    writers     acknowledged: in the record, once; refused: not in it; connection lost: may be in it
    readers     nothing older than what had been acknowledged when they asked, and never backwards
    watchers    every version, in order, once, from the last one that they saw before the connection broke
"""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes
import pytest
import urllib3

from labkit.api.errors import ApiError, Conflict
from labkit.api.types import ConfigMap, ObjectMeta
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.storage.etcd import Etcd, Tls
from labkit.storage.protocol import Transition
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer
from tests.node.test_apiserver_kubectl import installed

KEY = "/registry/configmaps/default/c"


class Write(NamedTuple):
    """An attempt: from which version, which content. `version`: as acknowledged; 0: refused; -1: nobody knows."""

    base: int
    token: str
    version: int
    began: float
    ended: float


class Read(NamedTuple):
    version: int
    began: float
    ended: float


class Crowd:
    """Writers and readers, each of a server of its own."""

    def __init__(self, servers: list[ApiServer]) -> None:
        self.servers = servers
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self._tokens = itertools.count()
        self._over = False

    async def work(self, number: int) -> None:
        server = self.servers[number % len(self.servers)]
        async with Client(server.url, server.context("admin", "system:masters")) as client:
            while not self._over:
                with contextlib.suppress(ApiError):  # the server is not there
                    await self._turn(client)
                await asyncio.sleep(0.002)

    def stop(self) -> None:
        self._over = True

    async def _turn(self, client: Client) -> None:
        began = time.monotonic()
        found = await client.get(ConfigMap, "c", "default")
        base = int(found.metadata.resource_version)
        self.reads.append(Read(base, began, time.monotonic()))
        token = str(next(self._tokens))
        found.data = {"token": token}
        began, version = time.monotonic(), -1
        try:
            version = int((await client.update(found)).metadata.resource_version)
        except Conflict:
            version = 0
        finally:
            self.writes.append(Write(base, token, version, began, time.monotonic()))


def judge(record: list[tuple[int, str]], writes: list[Write], reads: list[Read]) -> None:
    """record: (revision, token) of every version in etcd, in order, the first one being the creation."""
    before = dict(zip((revision for revision, _ in record[1:]), (revision for revision, _ in record), strict=False))
    revision_of = {token: revision for revision, token in record}
    assert len(revision_of) == len(record)  # no content was written twice
    by_token = {write.token: write for write in writes}
    for revision, token in record[1:]:
        assert by_token[token].base == before[revision], "written over a version that its writer had not seen"
    for write in writes:
        if write.version > 0:
            assert revision_of[write.token] == write.version, "acknowledged and lost"
        if write.version == 0:
            assert write.token not in revision_of, "refused and written all the same"
            assert any(revision > write.base for revision, _ in record), "refused without a reason"
    acknowledged = sorted((write.ended, write.version) for write in writes if write.version > 0)
    for read in reads:
        assert read.version in {revision for revision, _ in record}
        newest = max((version for ended, version in acknowledged if ended < read.began), default=0)
        assert read.version >= newest, "a stale read"
    in_time = sorted(reads, key=lambda read: read.ended)
    seen = list(itertools.accumulate((read.version for read in in_time), max))
    for read in reads:
        earlier = [newest for other, newest in zip(in_time, seen, strict=True) if other.ended < read.began]
        assert not earlier or read.version >= earlier[-1], "time went backwards"


_W, _R = Write(40, "a", 41, 1.0, 2.0), Read(41, 3.0, 4.0)


@pytest.mark.parametrize(
    ("record", "writes", "reads", "wrong"),
    [
        ([(40, "-"), (41, "a")], [_W], [_R], ""),
        ([(40, "-"), (41, "a")], [_W, Write(40, "b", -1, 1.0, 2.0), Write(40, "c", 0, 1.0, 2.0)], [_R], ""),
        ([(40, "-"), (41, "a"), (42, "b")], [_W, Write(40, "b", 42, 1.0, 2.0)], [], "had not seen"),
        ([(40, "-"), (42, "b")], [_W, Write(40, "b", 42, 1.0, 2.0)], [], "a"),
        ([(40, "-"), (41, "a")], [_W._replace(version=42)], [], "acknowledged and lost"),
        ([(40, "-"), (41, "a")], [_W._replace(version=0)], [], "written all the same"),
        ([(40, "-")], [_W._replace(version=0)], [], "without a reason"),
        ([(40, "-"), (41, "a")], [_W], [_R._replace(version=40)], "a stale read"),
        ([(40, "-"), (41, "a")], [_W._replace(version=-1)], [_R, Read(40, 5.0, 6.0)], "backwards"),
    ],
)
def test_the_judge(record: list[tuple[int, str]], writes: list[Write], reads: list[Read], wrong: str) -> None:
    caught = pytest.raises((AssertionError, KeyError), match=wrong) if wrong else contextlib.nullcontext()
    with caught:
        judge(record, writes, reads)


class Versions:
    """What a watcher has seen."""

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.problems: list[str] = []

    def is_level(self, last: int) -> Callable[[], bool]:
        return lambda: self.versions[-1:] == [last]


class Follower(Versions):
    """A raw watch through one server that goes on from the last version it saw."""

    def __init__(self, server: ApiServer, start: int) -> None:
        super().__init__()
        self._server, self._last = server, start
        self.lost = 0

    async def run(self) -> None:
        async with Client(self._server.url, self._server.context("admin", "system:masters")) as client:
            while True:
                with contextlib.suppress(ApiError):
                    async with contextlib.aclosing(client.watch(ConfigMap, "default", str(self._last))) as watch:
                        async for event in watch:
                            if event.type != "BOOKMARK":
                                self._last = int(event.object.metadata.resource_version)
                                self.versions.append(self._last)
                self.lost += 1
                await asyncio.sleep(0.05)


class PythonClient(Versions):
    """kubernetes-py's watch, taken up again as its documentation says."""

    def __init__(self, server: ApiServer, start: int) -> None:
        super().__init__()
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


async def record(etcd: EtcdServer, start: int, until: int) -> list[Transition]:
    """What etcd has to say."""
    assert etcd.authority
    certificate, key = etcd.authority.issue("kube-apiserver")
    storage = Etcd(etcd.address, Tls(etcd.authority.ca, certificate, key))
    steps: list[Transition] = []
    async with contextlib.aclosing(storage.replay("/registry/configmaps/", start)) as replay:
        while not steps or steps[-1].revision < until:
            steps += await anext(replay)
    await storage.close()
    return steps


async def test_nothing_acknowledged_is_lost_and_watches_go_on(etcd: EtcdServer, servers: list[ApiServer]) -> None:
    async with Client(servers[0].url, servers[0].context("admin", "system:masters")) as client:
        made = await client.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"), data={"token": "-"}))
        start = int(made.metadata.resource_version)
        crowd, informer = Crowd(servers), Informer(client, ConfigMap)
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
            steps = await record(etcd, start - 1, int(latest.metadata.resource_version))
            versions = [step.revision for step in steps]
            for watch in (*followers, python):
                with contextlib.suppress(AssertionError):  # said better below
                    await eventually(watch.is_level(versions[-1]), 10)
                assert watch.versions == versions[1:], watch.problems
            await eventually(lambda: informer.store.get("default/c") == latest, 10, expect="the informer at the end")
    tokens = [(step.revision, json.loads(step.after.value)["data"]["token"]) for step in steps if step.after]
    judge(tokens, crowd.writes, crowd.reads)
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
