"""Whatever comes in, a Status goes out: never a traceback, never a connection that hangs."""

import asyncio
import io
from typing import Any

import pytest

from labkit.components.kube_apiserver import connection
from labkit.components.kube_apiserver.server import Server

from .conftest import PODS, Http, pod


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "code", "reason"),
    [
        ("GET", "/nope", None, "", 404, "NotFound"),
        ("GET", "/api/v2/pods", None, "", 404, "NotFound"),
        ("GET", "/api/v1/nope", None, "", 404, "NotFound"),
        ("GET", f"{PODS}/x/nope", None, "", 404, "NotFound"),
        ("POST", "/api", b"{}", "", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/pods", b"{}", "", 405, "MethodNotAllowed"),
        ("POST", f"{PODS}/x", b"{}", "", 405, "MethodNotAllowed"),
        ("PUT", PODS, b"{}", "", 405, "MethodNotAllowed"),
        ("OPTIONS", PODS, None, "", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/watch/pods", b"{}", "", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces", None, "", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/services", None, "", 405, "MethodNotAllowed"),
        ("POST", PODS, b"", "", 400, "BadRequest"),
        ("POST", PODS, b"{", "", 400, "BadRequest"),
        ("POST", PODS, b"kind: Pod\n", "", 400, "BadRequest"),
        ("POST", PODS, b"\xff\xfe", "", 400, "BadRequest"),
        ("POST", PODS, b"[]", "", 400, "BadRequest"),
        ("POST", PODS, b"[" * 200_000, "", 400, "BadRequest"),
        ("POST", PODS, b'{"a":' * 50_000, "", 400, "BadRequest"),
        ("POST", PODS, b'{"kind":"Service"}', "", 400, "BadRequest"),
        ("POST", PODS, b'{"metadata":{"name":5}}', "", 400, "BadRequest"),
        ("POST", PODS, b"{}", "text/yaml", 415, "UnsupportedMediaType"),
        ("POST", PODS, b"junk", "application/vnd.kubernetes.protobuf", 400, "BadRequest"),
        ("POST", PODS, b" " * (3 * 1024 * 1024 + 1), "", 413, "RequestEntityTooLarge"),
        ("GET", f"{PODS}?watch=1&resourceVersion=abc", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion={10**20}", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?continue=zzz", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?limit=-1", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?watch=1&timeoutSeconds=x", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?labelSelector=a+b", None, "", 400, "BadRequest"),
        ("GET", f"{PODS}?fieldSelector=spec.nosuch%3D1", None, "", 400, "BadRequest"),
        ("DELETE", f"{PODS}/x", b'{"gracePeriodSeconds":"x"}', "", 400, "BadRequest"),
        ("DELETE", f"{PODS}/x?gracePeriodSeconds=x", None, "", 400, "BadRequest"),
        ("POST", f"{PODS}?dryRun=Some", b"{}", "", 400, "BadRequest"),
        ("POST", f"{PODS}?fieldValidation=Some", b"{}", "", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=99999", None, "", 504, "Timeout"),
    ],
)  # fmt: skip
async def test_status(
    http: Http, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any, content_type: str, code: int,
    reason: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("labkit.components.kube_apiserver.resources.REVISION_SECONDS", 0.1)
    got, status = await http(method, path, body, **({"Content_Type": content_type} if content_type else {}))
    assert (got, status["kind"], status["status"], status["reason"]) == (code, "Status", "Failure", reason)


async def raw(server: Server, data: bytes, seconds: float = 5.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.rsplit(":", 1)[1]))
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_a_status_too(server: Server, data: bytes) -> None:
    answer = await raw(server, data)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b'"kind":"Status"' in answer


async def test_half_a_body_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.3)
    request = f"POST {PODS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50\r\n\r\n{{".encode()
    assert b" 504 " in (await raw(server, request)).partition(b"\r\n")[0]


async def test_a_bug_is_a_500_and_its_traceback_stays_here(
    http: Http, server: Server, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(server._registries["pods"], "shelf")
    code, status = await http("GET", f"{PODS}/x")
    assert (code, status["reason"]) == (500, "InternalError")
    assert "Traceback" not in status["message"]
    assert "Traceback" in log.getvalue()


async def test_a_client_that_hangs_up_leaves_nothing_half_done(http: Http, server: Server, log: io.StringIO) -> None:
    body = str(pod("gone")).replace("'", '"').encode()
    request = f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.rsplit(":", 1)[1]))
    writer.write(request)
    await writer.drain()
    writer.close()
    async with asyncio.timeout(5):
        while '"pods/default/gone"' not in log.getvalue():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await http.got(f"{PODS}/gone")
