"""A server in this process, and a client that sees status codes and bodies as they are."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from labkit.components.kube_apiserver.server import Server, start_in_process
from labkit.trace import Tracer

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str = "p1", **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "redis"}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, **metadata},
        "spec": {"containers": containers},
    }


def service(name: str = "s1", **spec: Any) -> dict[str, Any]:
    spec = {"ports": [{"port": 80}], **spec}
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}


class Http:
    """`code, document = await http("GET", path, body)`."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.session = session

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        skip = () if "Content-Type" in sent else ("Content-Type",)
        async with self.session.request(
            method, self.base_url + path, data=data, headers=sent, skip_auto_headers=skip
        ) as answer:
            text = await answer.read()
            return answer.status, msgspec.json.decode(text) if "json" in answer.content_type else text.decode()

    async def made(self, path: str, body: Any) -> Any:
        code, document = await self("POST", path, body)
        assert code == 201, document
        return document

    async def got(self, path: str) -> Any:
        code, document = await self("GET", path)
        assert code == 200, document
        return document

    async def frames(self, path: str) -> list[tuple[str, Any]]:
        """All frames of a watch that ends by itself (timeoutSeconds)."""
        async with self.session.get(self.base_url + path) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/json"
            lines = (await answer.read()).splitlines()
        return [(frame["type"], frame["object"]) for frame in map(json.loads, lines)]


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def server(log: io.StringIO) -> AsyncIterator[Server]:
    async with await start_in_process(trace=Tracer("kube-apiserver", log)) as server:
        yield server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[Http]:
    async with aiohttp.ClientSession() as session:
        yield Http(server.base_url, session)
