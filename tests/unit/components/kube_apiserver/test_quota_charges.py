"""What is refused for another reason takes no room in a quota."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.trace import Tracer

from .conftest import PODS, Http, pod

QUOTAS = "/api/v1/namespaces/default/resourcequotas"


@pytest.fixture
async def limited() -> AsyncIterator[Http]:
    """A server where `default` has room for two pods."""
    settings = Settings(admission_control="ResourceQuota")
    async with (
        Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server,
        aiohttp.ClientSession() as session,
    ):
        await server.start()
        http = Http(server.base_url, session)
        quota = {
            "kind": "ResourceQuota",
            "apiVersion": "v1",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "2"}},
        }
        await http.made(QUOTAS, quota)
        counted = b'{"status":{"hard":{"pods":"2"},"used":{"pods":"0"}}}'
        await http("PATCH", f"{QUOTAS}/q/status", counted, Content_Type="application/merge-patch+json")
        yield http


@pytest.mark.parametrize(
    ("sent", "code"), [(pod("Bad_Name"), 422), (pod("there"), 409), (pod("p", namespace="other"), 400)]
)
async def test_only_what_is_made_is_charged(limited: Http, sent: dict[str, Any], code: int) -> None:
    await limited.made(PODS, pod("there"))
    before = await limited.got(f"{QUOTAS}/q")
    assert before["status"]["used"] == {"pods": "1"}
    assert (await limited("POST", PODS, sent))[0] == code
    assert await limited.got(f"{QUOTAS}/q") == before
    assert (await limited("POST", f"{PODS}?dryRun=All", pod("dry")))[0] == 201
    assert await limited.got(f"{QUOTAS}/q") == before
