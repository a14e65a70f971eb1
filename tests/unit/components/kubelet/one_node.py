"""A kubelet on a runtime, and an API server to talk to, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from labkit.api.errors import NotFound
from labkit.api.types import Event, Pod, PodStatus, Service
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.kubelet import Kubelet, Settings
from labkit.components.kubelet.mounts import Mounts
from labkit.components.kubelet.runtime import Container, Runtime
from labkit.testing.eventually import eventually


@dataclass
class OneNode:
    """What a test does and sees; the kubelet can be ended and started while the rest goes on."""

    client: Client
    runtime: Runtime
    settings: Settings
    kubelet: Kubelet
    task: asyncio.Task[None]
    mounts: Mounts
    within: float = 20.0

    async def create(self, *containers: dict[str, Any], name: str = "p", **fields: Any) -> Pod:
        """Put a pod on this node, as the scheduler would have."""
        meta = {"name": name, "namespace": "default"} | fields.pop("metadata", {})
        image = {"name": "c", "image": "busybox:1"}
        spec = {"nodeName": self.settings.node, "containers": [image | c for c in containers or ({},)]} | fields
        return await self.client.create(msgspec.convert({"metadata": meta, "spec": spec}, Pod))

    async def status(self, check: Callable[[PodStatus], Any], name: str = "p", expect: str = "") -> PodStatus:
        """The pod's status, once it is as expected."""

        async def look() -> PodStatus | None:
            status = (await self.client.get(Pod, name, "default")).status
            assert check(status), msgspec.json.encode(status)
            return status

        return await eventually(look, self.within, expect=expect)

    async def containers(self, name: str) -> list[Container]:
        """The containers of this name in the pod, oldest first."""
        return [c for c in await self.runtime.containers() if c.name == name]

    async def gone(self, name: str = "p") -> None:
        """Wait until neither the API server nor the runtime knows the pod."""

        async def look() -> bool:
            try:
                await self.client.get(Pod, name, "default")
            except NotFound:
                return not [c for c in await self.runtime.containers() if c.pod == f"default/{name}"]
            return False

        await eventually(look, self.within, expect=f"nothing is left of {name}")

    async def events(self, name: str = "p") -> list[tuple[str, str, str]]:
        """Reason, field path and message of the pod's events, in the order of their telling."""
        found = (await self.client.list(Event)).items
        of_pod = [e for e in found if e.involved_object.name == name]
        of_pod.sort(key=lambda event: event.metadata.name)
        return [(e.reason, e.involved_object.field_path, e.message) for e in of_pod]

    async def told(self, reason: str, path: str, message: str, name: str = "p") -> None:
        """Wait for an event whose message begins so: events are sent after the status that they explain, or before."""

        async def look() -> bool:
            events = await self.events(name)
            assert any(e[:2] == (reason, path) and e[2].startswith(message) for e in events), events
            return True

        await eventually(look, self.within)

    async def service(self, name: str, **fields: Any) -> Service:
        spec = {"ports": [{"port": 6379}]} | fields
        return await self.client.create(
            msgspec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Service)
        )

    async def end_kubelet(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def start_kubelet(self) -> None:
        self.kubelet = Kubelet(self.client, self.runtime, self.settings, mounts=self.mounts)
        self.task = asyncio.create_task(self.kubelet.run())


@asynccontextmanager
async def one_node(
    runtime: Runtime, root_dir: Path, *, within: float = 20.0, mounts: Mounts | None = None, **settings: Any
) -> AsyncIterator[OneNode]:
    """A node that is ready for pods inside the block; a kubelet that died there is the block's failure."""
    mounts = mounts or FakeMounts()
    chosen = Settings(root_dir=root_dir, **{"node": "n1", "address": "127.0.0.1", "relist_seconds": 0.5} | settings)
    async with await start_in_process() as server, Client(server.base_url) as client:
        kubelet = Kubelet(client, runtime, chosen, mounts=mounts)
        node = OneNode(client, runtime, chosen, kubelet, asyncio.create_task(kubelet.run()), mounts, within)
        try:
            yield node
            assert not node.task.done(), node.task
        finally:
            await node.end_kubelet()
            await runtime.close()
