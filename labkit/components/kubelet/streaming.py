"""What `kubectl exec`, `attach` and `port-forward` come to in the end: requests that turn into streams.

POST|GET /exec/NAMESPACE/POD/CONTAINER?command=ls&command=-l&stdin=true&stdout=true&stderr=true&tty=true
POST|GET /attach/NAMESPACE/POD/CONTAINER?stdin=true...
POST|GET /portForward/NAMESPACE/POD

Upgrade: SPDY/3.1                          up to kubectl 1.29 (port-forward: 1.30), and when WebSocket is refused
Upgrade: websocket, v5|v4.channel.k8s.io   exec and attach of later ones, and of Python clients
Upgrade: websocket, SPDY/3.1+portforward.k8s.io    SPDY frames in binary messages: port-forward since 1.31
Upgrade: websocket, v4.channel.k8s.io or nothing, ?ports=80     port-forward of Python clients
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from aiohttp import web
from multidict import MultiMapping

from labkit.components.kubelet import port_channels, port_forward, remote_command
from labkit.components.kubelet.consoles import SpdyConsole, WebSocketConsole
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.pipes import MessagePipe, accepted, in_session, over_spdy, upgrade_of
from labkit.components.kubelet.port_forward import Connect
from labkit.components.kubelet.process import Process, Wanted
from labkit.components.kubelet.runtime import PAUSE, Container, RuntimeFailure
from labkit.components.kubelet.spdy import Session
from labkit.components.kubelet.worker import Worker

REMOTE_COMMAND = "v4.channel.k8s.io"
PORT_FORWARD = "portforward.k8s.io"
WEBSOCKET_COMMAND = ("v5.channel.k8s.io", "v4.channel.k8s.io")
WEBSOCKET_PORT_FORWARD = "SPDY/3.1+portforward.k8s.io"
CHANNEL_PORT_FORWARD = "v4.channel.k8s.io"

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
            return await self._forward_in_messages(request, connect)
        return await over_spdy(request, PORT_FORWARD, lambda session, _: port_forward.serve(session, connect))

    async def _forward_in_messages(self, request: web.Request, connect: Connect) -> web.StreamResponse:
        if WEBSOCKET_PORT_FORWARD in request.headers.get("Sec-WebSocket-Protocol", ""):
            socket = await accepted(request, (WEBSOCKET_PORT_FORWARD,))
            await in_session(Session(MessagePipe(socket)), lambda session, _: port_forward.serve(session, connect))
        else:
            ports = wanted_ports(request.query)
            socket = await accepted(request, (CHANNEL_PORT_FORWARD,), needed=False)
            await port_channels.serve(socket, ports, connect)
        await socket.close()
        return socket

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


def wanted_streams(query: MultiMapping[str]) -> Wanted:
    """What the parameters ask for; output is wanted unless it is refused. Raises HTTPBadRequest when nothing is."""
    stdin, stdout, stderr, tty = (
        query.get(name, default) in ("true", "1")
        for name, default in (("stdin", ""), ("stdout", "true"), ("stderr", "true"), ("tty", ""))
    )
    if not (stdin or stdout or stderr):
        raise web.HTTPBadRequest(text="you must specify at least 1 of stdin, stdout, stderr")
    return Wanted(stdin, stdout, stderr and not tty, tty)


def wanted_ports(query: MultiMapping[str]) -> list[int]:
    """Of `?ports=80&ports=81,82`; raises HTTPBadRequest."""
    words = [word for text in query.getall("ports", []) for word in text.split(",")]
    if not 0 < len(words) <= port_channels.MAX_PORTS:
        raise web.HTTPBadRequest(text=f"ports: expected 1 to {port_channels.MAX_PORTS} ports, like ?ports=80,443")
    try:
        return [port_forward.port_number(word) for word in words]
    except RuntimeFailure as exc:
        raise web.HTTPBadRequest(text=f"ports: {exc}") from exc
