"""The cluster that kubectl is tried on: real etcd and kube-apiserver as processes with TLS, around them the
controllers, the scheduler and a kubelet with its server, in this process. Containers are entries of a dict
(host_processes.py).

    async with cluster(folder) as lab:
        lab.kubeconfig          of an administrator
        await lab.stored("pods/default/web")      what etcd holds
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.api.types import ObjectMeta, Service, ServicePort, ServiceSpec
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.server import serving, tls_context
from labkit.components.kubelet.settings import Settings
from labkit.storage.etcd import Etcd, Tls
from labkit.storage.protocol import StorageUnavailable
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.kubectl.host_processes import HostProcesses
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer, etcd_server, free_port

NODE = "agent1"
DNS_LABELS = {"kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS"}


@dataclass
class Cluster:
    """kubeconfig: an administrator's. folder: for what the tests write."""

    server: ApiServer
    client: Client
    kubeconfig: Path
    etcd: Etcd
    runtime: HostProcesses
    folder: Path

    async def stored(self, path: str) -> Any:
        """The object below /registry as etcd holds it; None when there is none."""
        found = await self.etcd.get(f"/registry/{path}")
        return None if found is None else json.loads(found.value)

    async def ready(self) -> bool:
        try:
            node = await self.stored(f"minions/{NODE}")
        except StorageUnavailable:  # this connection's first try, on a busy machine
            return False
        conditions = (node or {}).get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    async def post(self, path: str, manifest: dict[str, Any]) -> None:
        await self.client.raw("POST", path, body=json.dumps(manifest).encode())


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Everything runs inside the block, and is gone at its end; a component that died fails it."""
    for name in ("etcd-ca", "ca"):
        (folder / name).mkdir()
    authority, port = Authority(folder / "ca"), free_port()
    async with AsyncExitStack() as stack:
        etcd = stack.enter_context(etcd_server(folder, Authority(folder / "etcd-ca")))
        signing_key = authority.issue("service-accounts")[1]
        flags = (
            "--authorization-mode=Node,ABAC", f"--service-account-key-file={signing_key}",
            f"--service-account-signing-key-file={signing_key}",
        )  # fmt: skip
        server = stack.enter_context(api_server(folder, etcd, authority, kubelet_port=port, flags=flags))
        storage = Etcd(etcd.address, _tls(etcd))
        stack.push_async_callback(storage.close)
        runtime = HostProcesses(NODE, folder / "containers", await stack.enter_async_context(_web()))
        crew = Crew(server, folder, runtime)
        stack.push_async_callback(crew.stop)
        client = await stack.enter_async_context(_client(server, "admin"))
        await crew.start(port, authority)
        await _kube_system(client)
        lab = Cluster(server, client, server.kubeconfig("admin", "system:masters"), storage, runtime, folder)
        await eventually(lab.ready, within=20, expect=f"{NODE} ready")
        yield lab


def _client(server: ApiServer, name: str) -> Client:
    return Client(server.url, server.context(name, "system:masters"), user_agent=name)


def _tls(etcd: EtcdServer) -> Tls:
    assert etcd.authority is not None
    certificate, key = etcd.authority.issue("reader")
    return Tls(etcd.authority.ca, certificate, key)


@asynccontextmanager
async def _web() -> AsyncIterator[int]:
    """The port of a server that answers every connection with its one page."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nthe page\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Crew:
    """What works beside the API server, each with a connection of its own."""

    def __init__(self, server: ApiServer, folder: Path, runtime: HostProcesses) -> None:
        self._server = server
        self._folder = folder
        self._runtime = runtime
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.lines = io.StringIO()

    async def start(self, port: int, authority: Authority) -> None:
        settings = Settings(
            node=NODE, port=port, root_dir=self._folder / NODE, max_pods=10_000, node_status_seconds=2.0,
            housekeeping_seconds=0.5, relist_seconds=2.0,
        )  # fmt: skip
        certificate, key = authority.issue("kubelet-server")
        tls = tls_context(str(certificate), str(key), str(authority.ca))
        kubelet = Kubelet(await self._connect("kubelet"), self._runtime, settings, mounts=FakeMounts(),
                          trace=self._tracer("kubelet"))  # fmt: skip
        await self._stack.enter_async_context(serving(kubelet, "127.0.0.1", port, tls))
        manager = await self._connect("kube-controller-manager")
        scheduler = await self._connect("kube-scheduler")
        self._spawn(kubelet.run())
        self._spawn(ControllerManager(manager, quota_period=1.0, trace=self._tracer("kube-controller-manager")).run())
        self._spawn(Scheduler(scheduler, trace=self._tracer("kube-scheduler")).run())

    async def _connect(self, name: str) -> Client:
        return await self._stack.enter_async_context(_client(self._server, name))

    def _tracer(self, name: str) -> Tracer:
        return Tracer(name, self.lines)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """Raises what a component died of."""
        died = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        for task in died:
            task.result()


async def _kube_system(client: Client) -> None:
    """The Service by which `kubectl cluster-info` knows the DNS, as provisioning makes it."""
    meta = ObjectMeta(name="kube-dns", namespace="kube-system", labels=DNS_LABELS)
    ports = [ServicePort(name="dns", protocol="UDP", port=53)]
    await client.create(Service(metadata=meta, spec=ServiceSpec(cluster_ip="10.0.0.10", ports=ports)))
