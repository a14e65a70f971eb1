"""What is served besides objects: /healthz, /metrics, /version, and what clients ask first (/api, /apis, /openapi)."""

from __future__ import annotations

import asyncio
import re

import msgspec

from labkit.api import discovery
from labkit.api.errors import MethodNotAllowed, NotFound
from labkit.components.kube_apiserver import answers, metrics
from labkit.components.kube_apiserver.messages import TEXT, Answer, Request
from labkit.components.kube_apiserver.metrics import Metrics
from labkit.storage.protocol import Storage, StorageError

HEALTH_SECONDS = 2.0
# Kinds of a later API that kubectl lists without looking whether they exist; a 404 ends it. There are none of them, and
# that is what is answered; discovery does not show them.
_LATER_KINDS = {
    "apps/v1/daemonsets": "DaemonSetList",  # cluster-info dump
    "apps/v1/deployments": "DeploymentList",
    "apps/v1/replicasets": "ReplicaSetList",
    "apiextensions.k8s.io/v1/customresourcedefinitions": "CustomResourceDefinitionList",  # create -f LIST, 1.24 to 1.26
}


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
        document = discovery.document(path, request.headers.get("accept", ""))
        if document is None and request.method == "GET":
            document = none_of_later_kinds(path)
        if document is None:
            raise NotFound.nothing_there()
        if request.method != "GET":
            raise MethodNotAllowed.here()
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


def none_of_later_kinds(path: str) -> tuple[bytes, str] | None:
    """A list without objects; None when the path names something else."""
    asked = re.sub(r"/namespaces/[^/]+", "", path.removeprefix("/apis/"))
    kind, (api_version, _, _) = _LATER_KINDS.get(asked), asked.rpartition("/")
    if kind is None:
        return None
    empty = {"kind": kind, "apiVersion": api_version, "metadata": {}, "items": []}
    return msgspec.json.encode(empty), discovery.JSON
