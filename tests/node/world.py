"""A machine of network namespaces, an API server that it can reach, and components started on it as their units do."""

import asyncio
import io
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.node.netns import Netns, machine

API_PORT = 8080  # on the node's loopback


class Component:
    """A running component and the lines that it has logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, lambda line: self.lines.append(json.loads(line)))),
            asyncio.create_task(self._read(process.stderr, lambda line: self.errors.append(line.decode()))),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, take: Callable[[bytes], None]) -> None:
        assert stream is not None
        while line := await stream.readline():
            take(line)

    def said(self, **fields: Any) -> list[dict[str, Any]]:
        """The lines with all of these fields."""
        return [line for line in self.lines if fields.items() <= line.items()]

    async def stop(self, number: int = signal.SIGTERM, within: float = 20.0) -> int:
        """Its exit code after the signal; what does not end in time fails the test and is killed."""
        try:
            if self.process.returncode is None:
                self.process.send_signal(number)
            async with asyncio.timeout(within):
                return await self.process.wait()
        finally:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            await asyncio.gather(*self._readers)


class World:
    """What a test needs: namespaces, a client of the API, components, backends."""

    def __init__(
        self, spaces: dict[str, Netns], client: Client, kubeconfig: Path, stack: AsyncExitStack, storage: Memory
    ) -> None:
        self.storage = storage
        self.spaces = spaces
        self.client = client
        self.kubeconfig = kubeconfig
        self.stack = stack

    async def start(
        self,
        component: str,
        *flags: str,
        healthz_port: int,
        prefix: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
        module: str = "",
    ) -> Component:
        """Start a component on the node and wait until it is healthy. module: another that runs it."""
        command = self.spaces["node"].command(
            *prefix, sys.executable, "-m", module or f"labkit.components.{component}",
            f"--kubeconfig={self.kubeconfig}", f"--healthz-port={healthz_port}", *flags,
        )  # fmt: skip
        pipe = asyncio.subprocess.PIPE
        started = Component(await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, pass_fds=pass_fds))
        self.stack.push_async_callback(started.stop)

        async def healthy() -> bool:
            assert started.process.returncode is None, "".join(started.errors)
            with suppress(OSError):
                return (await self.http("node", "127.0.0.1", healthz_port, "/healthz")).endswith("\r\nok")
            return False

        await eventually(healthy, within=15, expect=f"{component} healthy")
        return started

    async def proxy(
        self, *flags: str, prefix: tuple[str, ...] = (), pass_fds: tuple[int, ...] = (), module: str = ""
    ) -> Component:
        return await self.start(
            "kube_proxy", "--node-ip=10.245.1.12", *flags, healthz_port=10249, prefix=prefix, pass_fds=pass_fds,
            module=module,
        )  # fmt: skip

    # -- objects ---------------------------------------------------------------------------------------------------

    async def service(
        self, name: str, ip: str, *ports: ServicePort, namespace: str = "default", **spec: Any
    ) -> Service:
        meta = ObjectMeta(name=name, namespace=namespace)
        return await self.client.create(
            Service(metadata=meta, spec=ServiceSpec(cluster_ip=ip, ports=list(ports), **spec))
        )

    async def endpoints(
        self, name: str, *addresses: str, ports: tuple[EndpointPort, ...], namespace: str = "default"
    ) -> None:
        """Make these the Endpoints of a service, whether it had any or not."""
        subset = EndpointSubset(addresses=[EndpointAddress(ip=ip) for ip in addresses], ports=list(ports))
        wanted = Endpoints(metadata=ObjectMeta(name=name, namespace=namespace), subsets=[subset] if addresses else [])
        listing = await self.client.list(Endpoints, namespace)
        if any(each.metadata.name == name for each in listing.items):
            await self.client.update(wanted)
        else:
            await self.client.create(wanted)

    # -- sockets ---------------------------------------------------------------------------------------------------

    async def backend(self, space: str, port: int) -> None:
        """A TCP server: greets with its namespace's name, then sends back what it is sent until it has all of it."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                writer.write(space.encode() + b"\n")
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        sock = self.spaces[space].call(lambda: socket.create_server(("0.0.0.0", port), backlog=512))
        server = await asyncio.start_server(serve, sock=sock)
        self.stack.callback(server.close)

    async def udp_backend(self, space: str, port: int) -> None:
        """A UDP server: answers each datagram with its namespace's name and the datagram."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _UdpEcho(space), sock=self.spaces[space].call(lambda: _udp_socket("0.0.0.0", port))
        )
        self.stack.callback(transport.close)

    async def connect(self, space: str, ip: str, port: int) -> socket.socket:
        """A connected, blocking socket with a timeout of 3 s."""
        return await self.inside(space, lambda: socket.create_connection((ip, port), timeout=3))

    async def greeting(self, space: str, ip: str, port: int) -> str:
        """Which backend answers."""

        def ask() -> str:
            with socket.create_connection((ip, port), timeout=3) as sock, sock.makefile() as lines:
                return lines.readline().strip()

        return await self.inside(space, ask)

    async def ask_udp(self, space: str, ip: str, port: int, text: str, *, within: float = 3) -> str:
        def ask() -> str:
            with _udp_socket("0.0.0.0", 0) as sock:
                sock.settimeout(within)
                sock.connect((ip, port))
                sock.send(text.encode())
                return sock.recv(2000).decode()

        return await self.inside(space, ask)

    async def http(self, space: str, ip: str, port: int, path: str) -> str:
        def ask() -> str:
            with socket.create_connection((ip, port), timeout=3) as sock, sock.makefile(newline="") as answer:
                sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                return answer.read()

        return await self.inside(space, ask)

    async def inside(self, space: str, function: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(self.spaces[space].call, function)

    async def run(self, space: str, *command: str) -> str:
        return await asyncio.to_thread(self.spaces[space].run, *command)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A world of its own for each test."""
    async with AsyncExitStack() as stack:
        spaces = stack.enter_context(machine())
        storage, quiet = Memory(), Tracer("kube-apiserver", io.StringIO())
        server = await stack.enter_async_context(await start_in_process(storage, trace=quiet))
        await stack.enter_async_context(_door(spaces["node"], server.base_url))
        client = await stack.enter_async_context(Client(server.base_url))
        yield World(spaces, client, _kubeconfig(folder), stack, storage)


def _kubeconfig(folder: Path) -> Path:
    path = folder / "kubeconfig"
    cluster = {"server": f"http://127.0.0.1:{API_PORT}"}
    path.write_text(json.dumps({
        "current-context": "test", "contexts": [{"name": "test", "context": {"cluster": "test"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
    }))  # fmt: skip
    return path


@asynccontextmanager
async def _door(node: Netns, base_url: str) -> AsyncIterator[None]:
    """Carries connections to the node's 127.0.0.1:8080 to the API server, which listens outside of the namespace."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    carrying: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carrying.add(task)
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        with suppress(asyncio.CancelledError, ConnectionError):
            await _first_to_end(_copy(reader, there_writer), _copy(there_reader, writer))
        there_writer.close()
        writer.close()
        carrying.discard(task)

    sock = node.call(lambda: socket.create_server(("127.0.0.1", API_PORT)))
    server = await asyncio.start_server(carry, sock=sock)
    try:
        yield
    finally:
        server.close()
        for task in list(carrying):
            task.cancel()
        await asyncio.gather(*carrying)


async def _first_to_end(*ways: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


class _UdpEcho(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        cast(asyncio.DatagramTransport, self.transport).sendto(f"{self.name} {data.decode()}".encode(), address)


def _udp_socket(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock
