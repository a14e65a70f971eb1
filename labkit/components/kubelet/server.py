"""The kubelet's own server: logs of containers and the list of its pods, for kube-apiserver and nobody else.

    GET /containerLogs/NAMESPACE/POD/CONTAINER?follow=true&tailLines=10&sinceSeconds=60&timestamps=true&previous=true
    /exec, /attach, /portForward     streaming.py
    GET /stats/summary, /stats/..., /spec/, /metrics    figures.py
    GET /pods        the pods of this node with the status that the kubelet gave them
    GET /healthz     ok

Who can ask here can read every secret that a pod prints, and run commands in it. So there is only TLS, a
client certificate of the cluster's CA is needed to get in at all, and then its name has to be kube-apiserver's own.
The original's read-only port 10255 tells everybody who can reach it all but logs and streams: here it is closed,
until --read-only-port opens it.
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime

import msgspec
from aiohttp import web

from labkit import tls
from labkit.api.types import Pod
from labkit.components.kubelet.figures import Figures
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.runtime import (
    Container,
    LogOptions,
    NoSuchContainer,
    RuntimeFailure,
)
from labkit.components.kubelet.streaming import Streaming
from labkit.components.kubelet.worker import Worker

ADMITTED = "kube-apiserver-kubelet-client"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """The handlers, over one kubelet."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet

    def application(self) -> web.Application:
        app = web.Application(middlewares=[only_the_api_server])
        self._add_what_only_shows(app)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.logs)
        Streaming(self.kubelet, self._worker).add_to(app)
        return app

    def read_only_application(self) -> web.Application:
        """Without TLS, for everybody: no logs, no streams."""
        app = web.Application()
        self._add_what_only_shows(app)
        return app

    def _add_what_only_shows(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/pods", self.pods)
        Figures(self.kubelet).add_to(app)

    async def healthz(self, request: web.Request) -> web.Response:
        wrong = self.kubelet.trouble()
        return web.Response(text=wrong or "ok", status=500 if wrong else 200)

    async def pods(self, request: web.Request) -> web.Response:
        items = [worker.pod for worker in self.kubelet.workers.values() if not worker.gone]
        body = msgspec.json.encode({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        return web.Response(body=body, content_type="application/json")

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """The log of one container, streamed; an error that shows only on the way ends the stream."""
        worker, container = self._worker(request), request.match_info["container"]
        options = log_options(request.query, time.time())
        limit = _number(request.query, "limitBytes")
        found = await self._container(worker, container, request.query.get("previous") == "true")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        async with aclosing(self.kubelet.runtime.logs(found.id, options)) as chunks:
            try:
                async for chunk in limited(chunks, limit):
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(chunk)
            except NoSuchContainer as exc:
                if not response.prepared:
                    raise web.HTTPNotFound(text=str(exc)) from exc
            except RuntimeFailure as exc:
                if not response.prepared:
                    raise web.HTTPInternalServerError(text=str(exc)) from exc
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    def _worker(self, request: web.Request) -> Worker:
        """The worker of the pod in the path."""
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        worker = self.kubelet.worker_of(f"{namespace}/{name}")
        if worker is None:
            raise web.HTTPNotFound(text=f'pod "{name}" does not exist in namespace "{namespace}" on this node')
        return worker

    async def _container(self, worker: Worker, name: str, previous: bool) -> Container:
        """The container whose log is meant: the newest of its name, or the one before."""
        pod = worker.pod
        if name not in {spec.name for spec in pod.spec.containers}:
            raise web.HTTPBadRequest(text=f"container {name} is not valid for pod {pod.metadata.name}")
        try:
            seen = await self.kubelet.runtime.containers(worker.uid)
        except RuntimeFailure as exc:
            raise web.HTTPInternalServerError(text=str(exc)) from exc
        lived = [container for container in seen if container.name == name and container.started]
        if previous:
            if len(lived) < 2:
                text = f'previous terminated container "{name}" in pod "{pod.metadata.name}" not found'
                raise web.HTTPBadRequest(text=text)
            return lived[-2]
        if not lived:
            raise web.HTTPBadRequest(text=_waiting(pod, name))
        return lived[-1]


@web.middleware
async def only_the_api_server(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The TLS handshake let in whom the CA knows; this lets in whom we answer."""
    certificate = request.get_extra_info("peercert") or {}
    names = [value for part in certificate.get("subject", ()) for field, value in part if field == "commonName"]
    if names != [ADMITTED]:
        raise web.HTTPForbidden(text=f"{names[0] if names else 'nobody'} may not ask the kubelet, only {ADMITTED} may")
    return await handler(request)


@asynccontextmanager
async def serving(kubelet: Kubelet, address: str, port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve inside the block, without TLS only what shows; yields the port (0 asks for a free one)."""
    server = Server(kubelet)
    app = server.application() if context is not None else server.read_only_application()
    # handlers of clients that went away are cancelled: a followed log would be read for ever
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port, ssl_context=context)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def tls_context(
    certificate: str,
    key: str,
    client_ca: str,
    min_version: str = tls.OLDEST,
    cipher_suites: str = ",".join(tls.SUITES),
) -> ssl.SSLContext:
    """Files in PEM; a client without a certificate of that CA does not get through the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    tls.restrict(context, min_version, cipher_suites)
    return context


def log_options(query: Mapping[str, str], now: float) -> LogOptions:
    """The query's parameters; HTTPBadRequest names the one that cannot be read."""
    since = 0.0
    if (seconds := _number(query, "sinceSeconds")) is not None:
        since = now - seconds
    elif text := query.get("sinceTime"):
        try:
            since = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except ValueError as exc:
            raise web.HTTPBadRequest(text=f"sinceTime: {text!r} is no RFC 3339 time") from exc
    return LogOptions(
        follow=query.get("follow") == "true",
        tail=_number(query, "tailLines"),
        since=since,
        timestamps=query.get("timestamps") == "true",
    )


async def limited(chunks: AsyncGenerator[bytes, None], limit: int | None) -> AsyncGenerator[bytes, None]:
    """At most `limit` bytes of a stream."""
    left = limit
    async for chunk in chunks:
        if left is not None:
            chunk, left = chunk[:left], left - len(chunk)
        yield chunk
        if left is not None and left <= 0:
            return


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isdigit():
        raise web.HTTPBadRequest(text=f"{name}: {text!r} is not a number that is 0 or more")
    return int(text)


def _waiting(pod: Pod, name: str) -> str:
    known = next((status for status in pod.status.container_statuses if status.name == name), None)
    reason = (
        known.state.waiting.reason if known is not None and known.state.waiting is not None else "ContainerCreating"
    )
    return f'container "{name}" in pod "{pod.metadata.name}" is waiting to start: {reason}'
