"""What bench scale runs beside kube-apiserver, and what it sees of the pods."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Pod,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer
from tests.node.real_etcd import free_port


class Seen:
    """When each pod was first seen, bound, and running."""

    def __init__(self, client: Client) -> None:
        self.pods = Informer(client, Pod)
        self.created: dict[str, float] = {}
        self.bound: dict[str, float] = {}
        self.running: dict[str, float] = {}
        self.deleted: dict[str, float] = {}
        self.pods.on_change(self._changed)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        now = time.monotonic()
        if new is None:
            assert old is not None
            self.deleted[old.metadata.name] = now
            return
        name = new.metadata.name
        self.created.setdefault(name, now)
        if new.spec.node_name:
            self.bound.setdefault(name, now)
        if new.status.phase == "Running":
            self.running.setdefault(name, now)

    def of(self, prefix: str, what: dict[str, float]) -> list[float]:
        return [at for name, at in what.items() if name.startswith(prefix)]


@contextlib.contextmanager
def component(server: ApiServer, package: str, folder: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    module = package if "." in package else f"labkit.components.{package}"
    port = () if "." in package else (f"--port={free_port()}",)
    config = server.kubeconfig("admin", "system:masters")
    command = [sys.executable, "-m", module, f"--kubeconfig={config}", *port, *flags]
    with (folder / f"{package}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def hollow(server: ApiServer, folder: Path, nodes: int, prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    with component(
        server,
        "labkit.components.kubelet.hollow",
        folder,
        f"--nodes={nodes}",
        f"--prefix={prefix}",
        "--start-time=100ms",
    ) as process:
        yield process


@contextlib.contextmanager
def proxies(server: ApiServer, folder: Path, nodes: int) -> Iterator[subprocess.Popen[bytes]]:
    with component(server, "labkit.components.kube_proxy.hollow", folder, f"--nodes={nodes}") as process:
        yield process


async def services(client: Client, folder: Path, number: int, nodes: int) -> None:
    """Some services with addresses behind them; returns when every proxy has rules for all of them."""
    for each in range(number):
        meta = ObjectMeta(name=f"service-{each}", namespace="default")
        behind = EndpointSubset(addresses=[EndpointAddress(ip=f"10.200.0.{each + 1}")], ports=[EndpointPort(port=80)])
        await client.create(Endpoints(metadata=meta, subsets=[behind]))
        await client.create(Service(metadata=meta, spec=ServiceSpec(ports=[ServicePort(port=80)])))
    log = folder / "labkit.components.kube_proxy.hollow.log"

    def followed() -> bool:
        """Two rules for each service, the API server's own included."""
        told = re.findall(r"proxies, (\d+) rules", log.read_text())
        return bool(told) and int(told[-1]) >= 2 * (number + 1) * nodes

    await eventually(followed, 60, every=0.5, expect="the services' rules at every proxy")


def memory(pid: int) -> float:
    """MB that are the process's own, or shared in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
