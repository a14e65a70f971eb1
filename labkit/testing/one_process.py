"""A whole cluster in one process: the API server on memory, scheduler, controllers, and kubelets that run nothing.

    async with one_process(nodes=["agent1", "agent2"]) as cluster:
        await cluster.client.create(rc)
        await eventually(...)
        await cluster.stop("kube-scheduler"); cluster.start("kube-scheduler")

Everything real but the containers; a component that ends with an error fails the block.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server, start_in_process
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_controller_manager.node_controller import Timing
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.settings import Settings as KubeletSettings
from labkit.trace import Tracer

# A node's failure in seconds instead of minutes.
QUICK = Timing(monitor_period=0.2, grace=1.5, startup_grace=5.0, eviction_timeout=4.0)

Start = Callable[[Client], Coroutine[Any, Any, None]]


class OneProcess:
    """The running cluster. Its components: kube-scheduler, kube-controller-manager, kubelet/agent1, kubelet/agent2."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server = server
        self.client = Client(server.base_url)
        self.runtimes: dict[str, FakeRuntime] = {}
        self._root = root
        self._starts: dict[str, Start] = {
            "kube-scheduler": lambda client: Scheduler(client).run(),
            "kube-controller-manager": lambda client: ControllerManager(client, timing=QUICK).run(),
        }
        self._running: dict[str, asyncio.Task[None]] = {}

    def add_node(self, name: str, *, max_pods: int = 100) -> None:
        """A machine with a kubelet; it registers itself."""
        runtime = self.runtimes[name] = FakeRuntime(name, subnet=len(self.runtimes) + 2)
        settings = KubeletSettings(
            node=name, root_dir=self._root / name, node_status_seconds=0.5, relist_seconds=1.0, max_pods=max_pods
        )
        self._starts[f"kubelet/{name}"] = lambda client: Kubelet(client, runtime, settings, mounts=FakeMounts()).run()
        self.start(f"kubelet/{name}")

    def start(self, *names: str) -> None:
        """Start components, all of them when none is named; each has a connection of its own."""
        for name in names or self._starts:
            if name not in self._running:
                self._running[name] = asyncio.create_task(self._component(name), name=name)

    async def _component(self, name: str) -> None:
        async with Client(self.server.base_url, user_agent=name) as client:
            await self._starts[name](client)

    async def stop(self, *names: str) -> None:
        """Stop components as SIGTERM does, all of them when none is named; what one died of comes out here."""
        tasks = [self._running.pop(name) for name in names or tuple(self._running)]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                raise ended

    async def restart_server(self, away: float = 0.0) -> None:
        """Another API server on the same port and storage, after so many seconds; clients must cope."""
        port = urlsplit(self.server.base_url).port or 0
        await self.server.stop()
        await asyncio.sleep(away)
        self.server = Server(self.server.storage, Settings(secure_port=port), Tracer("kube-apiserver"), insecure=True)
        await self.server.start()

    async def close(self) -> None:
        try:
            await self.stop()
        finally:
            await self.client.close()
            await self.server.stop()


@asynccontextmanager
async def one_process(nodes: Sequence[str] = ("agent1", "agent2")) -> AsyncIterator[OneProcess]:
    """A cluster with these nodes, everything started; everything gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="labkit-") as root:
        cluster = OneProcess(await start_in_process(), Path(root))
        try:
            for name in nodes:
                cluster.add_node(name)
            cluster.start()
            yield cluster
        finally:
            await cluster.close()
