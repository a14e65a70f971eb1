"""Static pods: pods that this kubelet is told by a file or a URL, and that run without any API server.

    directory --every 20 s--\\                      /--> worker, containers
                             Source --> StaticPods
    URL       --every 20 s--/                      \\--> mirror pod: so that `kubectl get pods` shows them too

The mirror is only a picture. Whoever deletes it sees it come back; whoever changes it sees it replaced. To end a static
pod its file has to go. Source: Kubernetes 1.0, pkg/kubelet/config and pkg/kubelet/mirror_client.go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from labkit.api.errors import AlreadyExists, Conflict, NotFound
from labkit.api.types import Node, ObjectMeta, Pod, copy, key
from labkit.client.controller import Controller
from labkit.client.events import EventRecorder
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.static_sources import Source, SourceAway, Texts, read_files, read_url
from labkit.trace import Tracer

MIRROR = "kubernetes.io/config.mirror"


class StaticPods:
    """pods: those that should run, by uid. `changed()` is called when they are others."""

    def __init__(self, client: Client, settings: Settings, recorder: EventRecorder, trace: Tracer) -> None:
        self.pods: dict[str, Pod] = {}
        self.changed: Callable[[], None] = lambda: None
        self.mirrors: Mapping[str, Pod] = {}  # the API server's pods of this node, by key
        self._client = client
        self._settings = settings
        self._recorder = recorder
        self._trace = trace
        self._queue = WorkQueue()
        self._controller = Controller("mirror pods", self._queue, self.sync, trace=trace)
        self._sources: list[tuple[Source, Callable[[], Awaitable[Texts]], float]] = []
        if path := settings.manifests:
            read = lambda: asyncio.to_thread(read_files, path)  # noqa: E731
            self._sources.append((self._source("file"), read, settings.file_check_seconds))
        if url := settings.manifest_url:
            self._sources.append((self._source("http"), lambda: read_url(url), settings.http_check_seconds))

    @property
    def ready(self) -> bool:
        """Whether every source was read once: before that nobody knows which containers belong to nobody."""
        return all(source.ready for source, _, _ in self._sources)

    async def read(self) -> None:
        """Read the sources until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source, read, seconds in self._sources:
                group.create_task(self._follow(source, read, seconds), name=f"static pods of {source.kind}")

    async def mirror(self) -> None:
        """Keep the mirrors until cancelled; begin when `mirrors` is complete."""
        for pod in [*self.pods.values(), *self.mirrors.values()]:
            self.look_at(pod)
        await self._controller.run()

    def look_at(self, pod: Pod) -> None:
        """A static pod or a mirror is not what it was."""
        self._queue.add(key(pod), cause="a static pod or its mirror changed")

    async def sync(self, name: str) -> None:
        """Make one mirror what it should be: there, of this text, and not being deleted."""
        wanted = next((pod for pod in self.pods.values() if key(pod) == name), None)
        there = self.mirrors.get(name)
        if there is None:
            if wanted is not None:
                await self._create(wanted)
        elif not is_mirror(there):
            if wanted is not None:
                self._trace.log("no mirror: a pod of the API server has its name", level="warning", pod=name)
        elif self.ready and (wanted is None or there.metadata.deletion_timestamp or not mirrors(there, wanted)):
            await self._delete(
                there, "no static pod has it" if wanted is None else "it is not the static pod's picture"
            )

    async def _create(self, pod: Pod) -> None:
        picture = mirror_of(pod)
        try:
            made = await self._client.create(picture)
        except AlreadyExists:
            return  # on another node, or the watch has not told us yet
        self._trace.decision("mirrored", made, cause="a static pod has no mirror", function=self.sync)

    async def _delete(self, there: Pod, cause: str) -> None:
        meta = there.metadata
        try:
            await self._client.delete(Pod, meta.name, meta.namespace, grace_period_seconds=0, uid=meta.uid)
        except (NotFound, Conflict):
            return
        self._trace.decision("mirror deleted", there, cause=cause, function=self.sync)

    def _source(self, kind: str) -> Source:
        return Source(kind, self._settings.node, self._complain)

    def _complain(self, what: str) -> None:
        """A line in the log and an event about the node: nobody else can be told."""
        self._trace.log("static pod not understood", level="error", error=what)
        name = self._settings.node
        self._recorder.event(Node(metadata=ObjectMeta(name=name, uid=name)), "invalidManifest", what)

    async def _follow(self, source: Source, read: Callable[[], Awaitable[Texts]], seconds: float) -> None:
        told = ""
        while True:
            try:
                texts, told = await read(), ""
                if source.take(texts):
                    self._merge()
            except SourceAway as exc:
                if str(exc) != told:
                    told = str(exc)
                    self._complain(told)
            await asyncio.sleep(seconds)

    def _merge(self) -> None:
        """One name, one pod: of two with the same, the first holds."""
        before, pods = self.pods, dict[str, Pod]()
        names: dict[str, str] = {}
        for source, _, _ in self._sources:
            for where, found in source.pods.items():
                for pod in found:
                    if other := names.get(key(pod)):
                        self._complain(f"{where}: pod {key(pod)} is already made by {other}: give it another name")
                        continue
                    names[key(pod)] = where
                    pods[pod.metadata.uid] = before.get(pod.metadata.uid, pod)
        self.pods = pods
        self.changed()
        mirrors = [pod for pod in self.mirrors.values() if is_mirror(pod)]
        for pod in [*pods.values(), *mirrors]:
            self.look_at(pod)


def is_mirror(pod: Pod) -> bool:
    return MIRROR in pod.metadata.annotations


def mirrors(mirror: Pod, pod: Pod) -> bool:
    return mirror.metadata.annotations[MIRROR] == pod.metadata.uid


def mirror_of(pod: Pod) -> Pod:
    """Its picture for the API server."""
    picture = copy(pod)
    picture.metadata.uid = ""
    picture.metadata.annotations[MIRROR] = pod.metadata.uid
    return picture
