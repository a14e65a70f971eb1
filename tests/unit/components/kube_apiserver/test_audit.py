"""One line per request, files that do not grow for ever, and no secret in them."""

import json
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from labkit.components.kube_apiserver.audit import AuditLog, line_of
from labkit.components.kube_apiserver.messages import Request, User
from labkit.components.kube_apiserver.routes import route
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings, SettingsError
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.conftest import PODS, Http, pod

REQUEST = Request(
    "PUT", f"{PODS}/p1/status", {}, {"user-agent": "kubectl/v1.20"}, b"secret", User("admin", ("system:masters",)),
    "dryRun=All", "10.245.1.1", "update", route(f"{PODS}/p1/status"),
)  # fmt: skip


def test_what_a_line_tells() -> None:
    assert _plain(line_of(REQUEST, 200, 0.5, 1_767_225_600.25)) == {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "requestURI": f"{PODS}/p1/status?dryRun=All", "verb": "update",
        "user": {"username": "admin", "groups": ("system:masters",)}, "sourceIPs": ["10.245.1.1"],
        "userAgent": "kubectl/v1.20", "responseStatus": {"code": 200},
        "objectRef": {
            "resource": "pods", "namespace": "default", "name": "p1", "subresource": "status", "apiVersion": "v1"
        },
        "requestReceivedTimestamp": "2025-12-31T23:59:59.750000Z", "stageTimestamp": "2026-01-01T00:00:00.250000Z",
        "annotations": {"apiserver.latency.k8s.io/total": "500.000ms"},
    }  # fmt: skip


def _plain(line: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(line)
    assert document.pop("auditID")
    return document


@pytest.mark.cis("1.2.17", "1.2.18", "1.2.19")
def test_a_file_is_put_aside_and_the_oldest_go(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    old = tmp_path / "audit.log-20200101T000000.000000"
    old.write_text("old\n")
    os.utime(old, (time.time() - 40 * 86400,) * 2)
    log = AuditLog(file, max_size=1200, backups=2, days=30)
    for _ in range(12):
        log.write(line_of(REQUEST, 200, 0.5, time.time()))
    log.close()
    log.close()
    assert not old.exists()
    aside = list(tmp_path.glob("audit.log-*"))
    assert len(aside) == 2
    for each in (file, *aside):
        assert each.stat().st_size <= 1200
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
        assert all(json.loads(line)["verb"] == "update" for line in each.read_text().splitlines())


def test_a_file_that_is_there_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        log = AuditLog(tmp_path / "audit.log")
        log.write(line_of(REQUEST, 200, 0.5, time.time()))
        log.close()
    assert len((tmp_path / "audit.log").read_text().splitlines()) == 2


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--audit-log-path"):
        Server(Memory(), Settings(audit_log_path=f"{tmp_path}/no/audit.log"), Tracer("t"), insecure=True)


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[Http]:
    settings = Settings(audit_log_path=str(tmp_path / "audit.log"))
    server = Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True)
    async with server, aiohttp.ClientSession() as session:
        await server.start()
        yield Http(server.base_url, session)


@pytest.mark.cis("3.2.1")
async def test_every_request_leaves_a_line_and_no_body(audited: Http, tmp_path: Path) -> None:
    await audited.made(PODS, pod(labels={"password": "geheim"}))
    await audited("GET", f"{PODS}/nope", User_Agent="curl/8")
    await audited("GET", "/version")
    await audited.frames(f"{PODS}?watch=true&timeoutSeconds=1")
    text = (tmp_path / "audit.log").read_text()
    assert "geheim" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["verb"], line["responseStatus"]["code"], line["stage"]) for line in lines] == [
        ("create", 201, "ResponseComplete"),
        ("get", 404, "ResponseComplete"),
        ("get", 200, "ResponseComplete"),
        ("watch", 200, "ResponseStarted"),
    ]
    assert lines[1]["userAgent"] == "curl/8"
    assert lines[1]["objectRef"]["name"] == "nope"
    assert lines[2]["objectRef"] is None
    assert lines[0]["sourceIPs"] == ["127.0.0.1"]
    assert len({line["auditID"] for line in lines}) == 4
