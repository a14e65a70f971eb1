"""What is served besides objects: /healthz, /metrics, /version, and what clients ask first (/api, /apis, /openapi)."""

from __future__ import annotations

import asyncio
import re

import msgspec

from labkit.api import discovery
from labkit.api.errors import NotFound
from labkit.components.kube_apiserver import answers, metrics
from labkit.components.kube_apiserver.messages import TEXT, Answer, Request
from labkit.components.kube_apiserver.metrics import Metrics
from labkit.components.kube_apiserver.subresources import not_allowed
from labkit.storage.protocol import Storage, StorageError

HEALTH_SECONDS = 2.0
# Kinds of a later API that `kubectl cluster-info dump` lists without looking whether they exist; a 404 ends it. There
# are none of them, and that is what is answered; discovery does not show them.
_LATER_KINDS = {"daemonsets": "DaemonSetList", "deployments": "DeploymentList", "replicasets": "ReplicaSetList"}
_LATER = re.compile(rf"/apis/apps/v1/(?:namespaces/[^/]+/)?({'|'.join(_LATER_KINDS)})")


class Pages:
    """Everything outside of the kinds' paths."""

    def __init__(self, storage: Storage, metrics: Metrics) -> None:
        self._storage = storage
        self._metrics = metrics

    async def answer(self, request: Request) -> Answer:
        """Raises NotFound for what there is not, MethodNotAllowed for anything but GET of what there is."""
        path = request.path.rstrip("/") or "/"
        if path in ("/healthz", "/healthz/ping"):
            return await self._healthz(path)
        if path == "/metrics" and request.method == "GET":
            return Answer(200, self._metrics.text(), metrics.CONTENT_TYPE)
        later = _LATER.fullmatch(path)
        if later:
            body = none_of(_LATER_KINDS[later[1]])
            document: tuple[bytes, str] | None = (body, discovery.JSON)
        else:
            document = discovery.document(path, request.headers.get("accept", ""))
        if document is None:
            raise NotFound("the server could not find the requested resource")
        if request.method != "GET":
            raise not_allowed()
        body, content_type = document
        answer = answers.answer(request, body) if "json" in content_type else Answer(200, body)
        answer.content_type = content_type
        return answer

    async def _healthz(self, path: str) -> Answer:
        """ "ok" when the store answers; /healthz/ping when this process does."""
        if path == "/healthz":
            try:
                async with asyncio.timeout(HEALTH_SECONDS):
                    await self._storage.revision()
            except (StorageError, TimeoutError) as error:
                return Answer(500, f"etcd: {error or 'no answer'}\n".encode(), TEXT)
        return Answer(200, b"ok", TEXT)


def none_of(list_kind: str) -> bytes:
    """A list without objects."""
    return msgspec.json.encode({"kind": list_kind, "apiVersion": "apps/v1", "metadata": {}, "items": []})
