"""What is measured: an etcd and a kube-apiserver as a machine runs them, in a folder that goes away afterwards.

secure   the real process: TLS with client certificates both ways, Node and ABAC, the machine's admission, audit log
plain    the same server without TLS, certificates and authorization, on a plain etcd: how the originals were measured
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from bench.api.busy import NODES
from bench.api.figures import Figures
from bench.api.interpreter import interpreter
from bench.api.load import Files, Where, Wish
from labkit.api.errors import ServerUnavailable
from labkit.api.types import Namespace, ObjectMeta, ObjectReference, Secret, ServiceAccount
from labkit.client.rest import Client
from labkit.components.kube_apiserver.__main__ import keep_freed_memory
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.etcd import Etcd
from labkit.trace import Tracer
from tests.node.apiserver import api_server
from tests.node.real_etcd import Authority, etcd_server, free_port

ADMISSION = "NamespaceLifecycle,NamespaceExists,LimitRanger,ServiceAccount,NodeRestriction,ResourceQuota"
LOAD_SECONDS = 60


def run(load: str, wish: Wish) -> Figures:
    """One load in a process of its own. Raises AssertionError with what it said when an answer was wrong."""
    command = [sys.executable, "-m", "bench.api.load", load, msgspec.json.encode(wish).decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS)
    assert done.returncode == 0, f"{load}: {done.stderr[-2000:]}"
    return msgspec.json.decode(done.stdout, type=Figures)


@contextlib.contextmanager
def secure() -> Iterator[Where]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ca in ("ca", "etcd-ca"):
            (folder / ca).mkdir()
        authority, etcd_authority = Authority(folder / "ca"), Authority(folder / "etcd-ca")
        flags = (f"--admission-control={ADMISSION}", f"--audit-log-path={folder / 'audit.log'}")
        with (
            etcd_server(folder, etcd_authority) as etcd,
            api_server(folder, etcd, authority, flags=flags, python=interpreter()) as server,
        ):
            assert etcd.process is not None
            assert server.process is not None
            files, etcd_files = (
                Files(str(ca.ca), *map(str, ca.issue("bench", "system:masters"))) for ca in (authority, etcd_authority)
            )
            for number in range(NODES):
                authority.issue(f"system:node:n{number}", "system:nodes")
            pids = {"server": server.process.pid, "etcd": etcd.process.pid}
            where = Where(server.port, etcd.address, pids, files, etcd_files)
            asyncio.run(_prepare(server.url, where))
            yield where


@contextlib.contextmanager
def plain() -> Iterator[Where]:
    with tempfile.TemporaryDirectory() as name, etcd_server(Path(name)) as etcd:
        assert etcd.process is not None
        port = free_port()
        command = [interpreter(), "-m", "bench.api.world", etcd.address, str(port)]
        with (Path(name) / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                where = Where(port, etcd.address, {"server": server.pid, "etcd": etcd.process.pid})
                asyncio.run(_prepare(f"http://127.0.0.1:{port}", where))
                yield where
            finally:
                server.terminate()


async def _prepare(url: str, where: Where) -> None:
    """The namespace of the loads, and in it what a controller manager would make: an account with its token."""
    async with Client(url, where.files.context() if where.files else None) as client:
        for _ in range(200):  # it may not be up yet
            with contextlib.suppress(ServerUnavailable):
                await client.list(Namespace)
                break
            await asyncio.sleep(0.1)
        for namespace in ("bench", "listed"):
            await client.create(Namespace(metadata=ObjectMeta(name=namespace)))
            await _account(client, namespace)


async def _account(client: Client, namespace: str) -> None:
    account = await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace=namespace)))
    about = {
        "kubernetes.io/service-account.name": "default",
        "kubernetes.io/service-account.uid": account.metadata.uid,
    }
    secret = Secret(
        metadata=ObjectMeta(name="default-token", namespace=namespace, annotations=about),
        type="kubernetes.io/service-account-token", data={"token": b"bench"},
    )  # fmt: skip
    await client.create(secret)
    account.secrets = [ObjectReference(name="default-token")]
    await client.update(account)


async def _serve(etcd: str, port: int) -> None:
    settings = Settings(secure_port=port, admission_control=ADMISSION)
    server = Server(Etcd(etcd), settings, Tracer("kube-apiserver"), insecure=True)
    async with server:
        await server.start()
        await server.wait()


if __name__ == "__main__":
    keep_freed_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
