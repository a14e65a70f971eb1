"""What `kubectl exec`, `attach` and `port-forward` come to in the end: requests that turn into streams.

POST|GET /exec/NAMESPACE/POD/CONTAINER?command=ls&command=-l&stdin=true&stdout=true&stderr=true&tty=true
POST|GET /attach/NAMESPACE/POD/CONTAINER?stdin=true...
POST|GET /portForward/NAMESPACE/POD

Upgrade: SPDY/3.1                          up to kubectl 1.29 (port-forward: 1.30), and when WebSocket is refused
Upgrade: websocket, v5|v4.channel.k8s.io   exec and attach of later ones, and of Python clients
Upgrade: websocket, SPDY/3.1+portforward.k8s.io    SPDY frames in binary messages: port-forward since 1.31
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from aiohttp import WSMsgType, web
from multidict import MultiMapping

from labkit.components.kubelet import port_forward, remote_command
from labkit.components.kubelet.consoles import MAX_MESSAGE, SpdyConsole, WebSocketConsole
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.process import Process, Wanted
from labkit.components.kubelet.runtime import PAUSE, Container, RuntimeFailure
from labkit.components.kubelet.spdy import ProtocolFault, Session
from labkit.components.kubelet.worker import Worker
from labkit.upgrade import take_over

REMOTE_COMMAND = "v4.channel.k8s.io"
PORT_FORWARD = "portforward.k8s.io"
WEBSOCKET_COMMAND = ("v5.channel.k8s.io", "v4.channel.k8s.io")
WEBSOCKET_PORT_FORWARD = "SPDY/3.1+portforward.k8s.io"

Start = Callable[[], Awaitable[Process]]


class Find(Protocol):
    """How the server finds what a path names; raises an HTTPException that tells what is not there."""

    def __call__(self, request: web.Request) -> Worker: ...


class Streaming:
    """The handlers, over one kubelet."""

    def __init__(self, kubelet: Kubelet, find: Find) -> None:
        self._kubelet = kubelet
        self._find = find

    def add_to(self, app: web.Application) -> None:
        for method in ("GET", "POST"):
            app.router.add_route(method, "/exec/{namespace}/{pod}/{container}", self.exec)
            app.router.add_route(method, "/attach/{namespace}/{pod}/{container}", self.attach)
            app.router.add_route(method, "/portForward/{namespace}/{pod}", self.port_forward)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        container = await self._running(request, request.match_info["container"])
        command = request.query.getall("command", [])
        if not command:
            raise web.HTTPBadRequest(text="you must specify at least 1 command for the container")
        wanted = wanted_streams(request.query)
        self._kubelet.trace.log("exec", pod=container.pod, container=container.name, command=command[0])
        return await self._command(request, wanted, partial(self._kubelet.runtime.exec, container.id, command, wanted))

    async def attach(self, request: web.Request) -> web.StreamResponse:
        container = await self._running(request, request.match_info["container"])
        wanted = wanted_streams(request.query)
        self._kubelet.trace.log("attach", pod=container.pod, container=container.name)
        return await self._command(request, wanted, partial(self._kubelet.runtime.attach, container.id, wanted))

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        pause = await self._running(request, PAUSE)
        connect = partial(self._kubelet.runtime.port_forward, pause.id)
        self._kubelet.trace.log("port-forward", pod=pause.pod)
        if upgrade_of(request) == "websocket":
            socket = await accepted(request, (WEBSOCKET_PORT_FORWARD,))
            await in_session(Session(MessagePipe(socket)), lambda session, _: port_forward.serve(session, connect))
            await socket.close()
            return socket
        return await over_spdy(request, PORT_FORWARD, lambda session, _: port_forward.serve(session, connect))

    async def _running(self, request: web.Request, name: str) -> Container:
        worker = self._find(request)
        try:
            seen = await self._kubelet.runtime.containers(worker.uid)
        except RuntimeFailure as exc:
            raise web.HTTPInternalServerError(text=str(exc)) from exc
        running = [container for container in seen if container.name == name and container.running]
        if not running:
            wanted = "pod is not running" if name == PAUSE else f'container not found ("{name}")'
            raise web.HTTPNotFound(text=wanted)
        return running[-1]

    async def _command(self, request: web.Request, wanted: Wanted, start: Start) -> web.StreamResponse:
        if upgrade_of(request) == "websocket":
            socket = await accepted(request, WEBSOCKET_COMMAND)
            console = WebSocketConsole(socket, wanted)
            reading = asyncio.create_task(console.run())
            try:
                await remote_command.serve(console, start)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            await socket.close()
            return socket

        async def serve(session: Session, running: asyncio.Task[None]) -> None:
            with suppress(OSError):
                await remote_command.serve(await SpdyConsole.open(session, running, wanted), start)

        return await over_spdy(request, REMOTE_COMMAND, serve)


Serve = Callable[[Session, asyncio.Task[None]], Awaitable[None]]


async def in_session(session: Session, serve: Serve) -> None:
    """Serve a session's streams for as long as the client is there."""
    running = asyncio.create_task(session.run())
    try:
        await serve(session, running)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, ProtocolFault):
            await running


async def over_spdy(request: web.Request, protocol: str, serve: Serve) -> web.StreamResponse:
    """Take the connection out of HTTP; never returns but by an exception, which aiohttp knows to be the end."""
    lines = request.headers.getall("X-Stream-Protocol-Version", [])
    offered = [word.strip() for line in lines for word in line.split(",")]
    if protocol not in offered:
        text = f"unable to upgrade: client supports {offered}, server supports [{protocol}]"
        raise web.HTTPForbidden(text=text)
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        f"X-Stream-Protocol-Version: {protocol}\r\n\r\n"
    )

    async def in_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await in_session(Session(ConnectionPipe(reader, writer)), serve)

    await take_over(request, head.encode(), in_connection)


def upgrade_of(request: web.Request) -> str:
    """`websocket` or `spdy/3.1`; anything else is refused, and kubectl then tries the other one."""
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade not in ("websocket", "spdy/3.1") or "upgrade" not in request.headers.get("Connection", "").lower():
        raise web.HTTPBadRequest(text="Upgrade request required: SPDY/3.1 or websocket")
    return upgrade


async def accepted(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    """A WebSocket that speaks one of these; raises HTTPBadRequest."""
    offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if not set(offered) & set(protocols):
        raise web.HTTPBadRequest(text=f"no WebSocket protocol in common: expected one of {', '.join(protocols)}")
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE, compress=False)
    await socket.prepare(request)
    return socket


def wanted_streams(query: MultiMapping[str]) -> Wanted:
    """What the parameters ask for; output is wanted unless it is refused. Raises HTTPBadRequest when nothing is."""
    stdin, stdout, stderr, tty = (
        query.get(name, default) in ("true", "1")
        for name, default in (("stdin", ""), ("stdout", "true"), ("stderr", "true"), ("tty", ""))
    )
    if not (stdin or stdout or stderr):
        raise web.HTTPBadRequest(text="you must specify at least 1 of stdin, stdout, stderr")
    return Wanted(stdin, stdout, stderr and not tty, tty)


class ConnectionPipe:
    """SPDY on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(32 * 1024)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class MessagePipe:
    """SPDY in the binary messages of a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while (message := await self._socket.receive()).type == WSMsgType.BINARY:
            if message.data:  # kubectl sends empty ones too: they are not the end
                return bytes(message.data)
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)
