"""Random histories of pods, watched from random revisions through servers that come and go: the check of every watch.

Watchers behave as clients do: they go on from the last resourceVersion that they saw when a connection ends, and list
again when that is 410. What each must have seen follows from the store's own changes, recorded as they happen:

    changes after where it began --selector as a Python function--> ADDED, MODIFIED, DELETED with their revisions

So no event may be lost, told twice or out of order, and what the watcher made of them is what a list says.
"""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import pytest
from hypothesis import strategies as st

from labkit.components.kube_apiserver.server import Server, start_in_process
from labkit.storage.protocol import Storage
from labkit.testing.eventually import eventually
from labkit.trace import Tracer

PODS = "/api/v1/namespaces/default/pods"
PREFIX = "/registry/pods/"
Json = dict[str, Any]


def labels(pod: Json) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"].get("labels", {})
    return found


SELECTORS: dict[str, Callable[[Json], bool]] = {
    "": lambda pod: True,
    "labelSelector=app%3Da": lambda pod: labels(pod).get("app") == "a",
    "labelSelector=app!%3Da": lambda pod: labels(pod).get("app") != "a",
    "labelSelector=app+in+(a,b)": lambda pod: labels(pod).get("app") in ("a", "b"),
    "labelSelector=!app": lambda pod: "app" not in labels(pod),
    "labelSelector=app,app+notin+(b)": lambda pod: labels(pod).get("app", "b") != "b",
    "fieldSelector=metadata.name%3Dp1": lambda pod: bool(pod["metadata"]["name"] == "p1"),
    "fieldSelector=spec.nodeName%3Dn1": lambda pod: pod["spec"].get("nodeName") == "n1",
    "fieldSelector=spec.nodeName!%3Dn1&labelSelector=app": lambda pod: (
        pod["spec"].get("nodeName") != "n1" and "app" in labels(pod)
    ),
}


# -- a history to be played ----------------------------------------------------------------------------------------


class Op(NamedTuple):
    """What happens next. `pick`: a number below 1000 for whatever is to be chosen."""

    verb: str
    name: str = ""
    app: str = ""
    selector: str = ""
    pick: int = 0


_NAMES, _PICKS = st.sampled_from(["p0", "p1", "p2"]), st.integers(0, 999)
OPS = st.lists(
    st.one_of(
        st.builds(Op, st.just("put"), _NAMES, st.sampled_from(["a", "b", ""])),
        st.builds(Op, st.just("put"), _NAMES, st.sampled_from(["a", "b", ""])),
        st.builds(Op, st.sampled_from(["delete", "bind", "service"]), _NAMES),
        st.builds(Op, st.just("watch"), selector=st.sampled_from(sorted(SELECTORS)), pick=_PICKS),
        st.builds(Op, st.just("watch"), selector=st.sampled_from(sorted(SELECTORS)), pick=_PICKS),
        st.builds(Op, st.sampled_from(["restart", "overflow"]), pick=_PICKS),
        st.builds(Op, st.just("compact"), pick=_PICKS),
    ),
    min_size=5,
    max_size=30,
)


# -- what a watcher must see ---------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """One event: type, name, resourceVersion."""

    type: str
    name: str
    revision: int


@dataclass
class Record:
    """Every change of a pod since the beginning, by the store's own watch."""

    changes: list[tuple[str, Json | None, int]] = field(default_factory=list)

    async def follow(self, storage: Storage, revision: int) -> None:
        async with contextlib.aclosing(storage.watch(PREFIX, revision)) as watch:
            async for batch in watch:
                for key, value, revision in batch:
                    name = key.rpartition("/")[2]
                    self.changes.append((name, json.loads(value) if value is not None else None, revision))

    def told_after(self, start: int, matches: Callable[[Json], bool]) -> list[Seen]:
        told, there = [], dict[str, Json]()
        for name, pod, revision in self.changes:
            before = name in there and matches(there[name])
            there.pop(name, None)
            if pod is not None:
                there[name] = pod
            now = pod is not None and matches(pod)
            if revision > start and (before or now):
                told.append(Seen("DELETED" if not now else "MODIFIED" if before else "ADDED", name, revision))
        return told

    def there_at(self, revision: int, matches: Callable[[Json], bool]) -> dict[str, int]:
        """name -> resourceVersion of what a list would have shown then."""
        there: dict[str, tuple[Json | None, int]] = {
            name: (pod, written) for name, pod, written in self.changes if written <= revision
        }
        return {name: written for name, (pod, written) in there.items() if pod is not None and matches(pod)}


class Watcher:
    """A client of whichever server is there."""

    def __init__(self, world: "World", selector: str, start: int) -> None:
        self._world, self.selector = world, selector
        self.start = self.revision = start
        self.seen: list[Seen] = []
        self.relisted = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await self._watch()
            await asyncio.sleep(0.01)

    async def _watch(self) -> None:
        query = f"watch=1&allowWatchBookmarks=true&resourceVersion={self.revision}&{self.selector}"
        async with self._world.session.get(f"{self._world.url()}{PODS}?{query}") as answer:
            if answer.status == 410:
                await self._relist()
                return
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                frame = json.loads(line)
                if frame["type"] == "ERROR":
                    assert frame["object"]["code"] == 410, frame
                    await self._relist()
                    return
                self._take(frame["type"], frame["object"]["metadata"])

    def _take(self, type: str, meta: Json) -> None:
        revision = int(meta["resourceVersion"])
        assert revision >= self.revision, "backwards"
        self.revision = revision
        if type != "BOOKMARK":
            self.seen.append(Seen(type, meta["name"], revision))

    async def _relist(self) -> None:
        self.relisted += 1
        async with self._world.session.get(f"{self._world.url()}{PODS}?{self.selector}") as answer:
            document = await answer.json()
        self.start = self.revision = int(document["metadata"]["resourceVersion"])
        self.seen.clear()

    def expected(self) -> list[Seen]:
        return self._world.record.told_after(self.start, SELECTORS[self.selector])

    def is_level(self) -> bool:
        return self.task.done() or self.seen == self.expected()

    def state(self) -> dict[str, int]:
        """What was there when it began, and what it has heard since."""
        there = self._world.record.there_at(self.start, SELECTORS[self.selector])
        for type, name, revision in self.seen:
            there[name] = revision
            if type == "DELETED":
                del there[name]
        return there


# -- the world in which it is played -------------------------------------------------------------------------------


class World:
    """A store, a server in this process, a recorder, watchers."""

    def __init__(
        self, storage: Storage, session: aiohttp.ClientSession, revision: int, patch: pytest.MonkeyPatch
    ) -> None:
        self.storage, self.session, self._patch = storage, session, patch
        self.record = Record()
        self.server: Server
        self.watchers: list[Watcher] = []
        self.compacted = revision  # nobody asks for older history
        self._port = 0

    def url(self) -> str:
        return self.server.base_url

    async def start(self) -> None:
        self.server = await start_in_process(self.storage, port=self._port, trace=Tracer("t", io.StringIO()))
        self._port = self.server.port

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> int:
        headers = {"Content-Type": kind}
        data = json.dumps(body).encode() if body is not None else None
        async with self.session.request(method, self.url() + path, data=data, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def listed(self, selector: str) -> dict[str, int]:
        async with self.session.get(f"{self.url()}{PODS}?{selector}") as answer:
            items = (await answer.json())["items"]
        return {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in items}

    async def play(self, op: Op) -> None:
        await getattr(self, f"_{op.verb}")(op)

    async def _put(self, op: Op) -> None:
        spec = {"containers": [{"name": "c", "image": "redis"}]}
        meta = {"name": op.name, "labels": {"app": op.app} if op.app else {}}
        code = await self.send("POST", PODS, {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec})
        if code == 409:
            change = {"metadata": {"labels": {"app": op.app or None}, "annotations": {"n": str(id(op))}}}
            code = await self.send("PATCH", f"{PODS}/{op.name}", change, "application/merge-patch+json")
        assert code in (200, 201), code

    async def _delete(self, op: Op) -> None:
        assert await self.send("DELETE", f"{PODS}/{op.name}?gracePeriodSeconds=0") in (200, 404)

    async def _bind(self, op: Op) -> None:
        assert await self.send("POST", f"{PODS}/{op.name}/binding", {"target": {"name": "n1"}}) in (201, 404, 409)

    async def _service(self, op: Op) -> None:
        body = {
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {"generateName": "s"},
            "spec": {"ports": [{"port": 1}]},
        }
        assert await self.send("POST", "/api/v1/namespaces/default/services", body) == 201

    async def _watch(self, op: Op) -> None:
        """From one of the revisions that the store still knows, the latest included."""
        now = await self.storage.revision()
        oldest = self.compacted
        self.watchers.append(Watcher(self, op.selector, oldest + op.pick % (now - oldest + 1)))

    async def _restart(self, op: Op) -> None:
        await self.server.stop()
        self._patch.setattr("labkit.components.kube_apiserver.server.REACH", (0, 3, 2000)[op.pick % 3])
        await self.start()

    async def _overflow(self, op: Op) -> None:
        """From now on the ring keeps this little."""
        self.server._registries["pods"].shelf.history._size = op.pick % 4

    async def _compact(self, op: Op) -> None:
        now = await self.storage.revision()
        self.compacted = max(self.compacted, now - op.pick % 20)
        await self.storage.compact(self.compacted)


@contextlib.asynccontextmanager
async def world(storage: Storage) -> AsyncIterator[World]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        revision = await storage.revision()
        patch = pytest.MonkeyPatch()
        patch.setattr("labkit.components.kube_apiserver.watching.BOOKMARK_SECONDS", 0.03)
        made = World(storage, session, revision, patch)
        recorder = asyncio.create_task(made.record.follow(storage, revision + 1))
        await made.start()
        try:
            yield made
        finally:
            tasks = [recorder, *(watcher.task for watcher in made.watchers)]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await made.server.stop()
            patch.undo()
        assert not [error for error in results if isinstance(error, Exception)], results


async def play(storage: Storage, ops: Sequence[Op]) -> None:
    """Play it and judge every watcher."""
    async with world(storage) as made:
        for op in ops:
            await made.play(op)
        for op in [op for op in ops if op.verb == "watch"]:  # the same questions again, now that all has happened
            await made.play(op)
        end = await storage.revision()
        await eventually(lambda: made.server._cache.revision >= end, 10, expect="the cache at the end")
        for watcher in made.watchers:
            with contextlib.suppress(AssertionError):  # said better below
                await eventually(watcher.is_level, 10)
        await asyncio.sleep(0.05)  # what would be told too much would come now
        for watcher in made.watchers:
            assert watcher.seen == watcher.expected(), _words(watcher)
            assert watcher.state() == await made.listed(watcher.selector), _words(watcher)


def _words(watcher: Watcher) -> str:
    return (
        f"{watcher.selector!r} from {watcher.start} ({watcher.relisted} lists): {watcher.seen} != {watcher.expected()}"
    )
