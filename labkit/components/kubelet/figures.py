"""The server's pages about usage: /stats/summary, /stats/..., /spec/, /metrics."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from labkit.components.kubelet import cadvisor, exposition, summary
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.runtime import Container, Sample
from labkit.components.kubelet.stats import KEPT

_METRICS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


class _Wish(msgspec.Struct):
    """What a client of 2015 may send with its question."""

    container_name: str = msgspec.field(default="/", name="containerName")
    num_stats: int = KEPT
    subcontainers: bool = False


class Figures:
    """The handlers, over one kubelet."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    def add_to(self, app: web.Application) -> None:
        add = app.router.add_route
        add("GET", "/stats/summary", self.summary)
        add("GET", "/metrics", self.metrics)
        for path in ("/spec", "/spec/"):
            add("GET", path, self.spec)
        for method in ("GET", "POST"):
            for path in ("/stats", "/stats/"):
                add(method, path, self.machine)
            for path in ("/stats/container", "/stats/container/"):
                add(method, path, self.by_name)
            add(method, "/stats/{pod}/{container}", self.container)
            add(method, "/stats/{namespace}/{pod}/{uid}/{container}", self.container)

    @property
    def _samples(self) -> Sequence[Sample]:
        return [*self._kubelet.stats.samples]

    async def summary(self, request: web.Request) -> web.Response:
        settings, machine = self._kubelet.settings, self._kubelet.node.machine
        return _json(summary.summary(settings.node, machine, settings.root_dir, self._samples))

    async def metrics(self, request: web.Request) -> web.Response:
        samples = self._samples
        text = exposition.page(self._kubelet.node.machine, samples[-1] if samples else None)
        return web.Response(body=text.encode(), headers=_METRICS)

    async def spec(self, request: web.Request) -> web.Response:
        return _json(cadvisor.machine_info(self._kubelet.node.machine))

    async def machine(self, request: web.Request) -> web.Response:
        wish = await _wish(request)
        return _json(cadvisor.machine_stats(self._kubelet.node.machine, self._samples, wish.num_stats))

    async def by_name(self, request: web.Request) -> web.Response:
        wish = await _wish(request)
        found = cadvisor.everything(self._kubelet.node.machine, self._samples, wish.num_stats)
        name = wish.container_name.rstrip("/") or "/"
        if name not in found:
            raise web.HTTPNotFound(text=f"containerName: no group {name!r} runs here; the machine is /")
        return _json(found if wish.subcontainers and name == "/" else {name: found[name]})

    async def container(self, request: web.Request) -> web.Response:
        wish, samples = await _wish(request), self._samples
        found = self._container(request.match_info, samples)
        return _json(cadvisor.container_stats(found, samples, wish.num_stats))

    def _container(self, path: Any, samples: Sequence[Sample]) -> Container:
        """The running container that the path names."""
        pod = f"{path.get('namespace', 'default')}/{path['pod']}"
        running = [one.container for one in samples[-1].containers.values()] if samples else []
        for one in running:
            if (one.pod, one.name) == (pod, path["container"]) and path.get("uid", one.pod_uid) == one.pod_uid:
                return one
        raise web.HTTPNotFound(text=f"no running container {path['container']!r} of pod {pod} has been seen here yet")


async def _wish(request: web.Request) -> _Wish:
    body = await request.read()
    try:
        wish = msgspec.json.decode(body, type=_Wish) if body.strip() else _Wish()
    except msgspec.DecodeError as exc:
        raise web.HTTPBadRequest(text=f'expected JSON like {{"num_stats": 2}}: {exc}') from exc
    if wish.num_stats < 1:
        raise web.HTTPBadRequest(text=f"num_stats: {wish.num_stats} is less than 1")
    return wish


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
