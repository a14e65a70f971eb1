"""HTTP as bytes, on both event loops: order, limits, pace, and what becomes of a connection."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from labkit.components.kube_apiserver import connection, parser
from labkit.components.kube_apiserver.heads import header
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer

from .conftest import PODS, Http, pod

# pytest-asyncio announces another way, which older versions do not know.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy.")
LAST = "Connection: close\r\n"


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


class Wire:
    """A client that sees bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: str | bytes) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def head(self) -> str:
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of an answer with a length."""
        head = await self.head()
        length = re.search(r"Content-Length: (\d+)", head)
        assert length, head
        return int(head.split()[1]), await asyncio.wait_for(self.reader.readexactly(int(length[1])), 5)

    async def rest(self) -> bytes:
        """All until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 5)


@asynccontextmanager
async def wire(server: Server) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def get(path: str, headers: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"


def post(body: str, headers: str = "") -> str:
    return f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}"


async def test_a_connection_serves_one_request_after_the_other(server: Server) -> None:
    async with wire(server) as client:
        for _ in range(3):
            client.send(get("/healthz"))
            assert await client.answer() == (200, b"ok")
        client.send(get("/healthz", LAST))
        assert "Connection: close" in await client.head()
        assert await client.rest() == b"ok"


async def test_who_asks_ahead_is_answered_in_order(server: Server) -> None:
    async with wire(server) as client:
        names = [f"p{number}" for number in range(20)]
        client.send("".join(post(json.dumps(pod(name))) for name in names) + get("/healthz") * 20)
        for name in names:
            code, body = await client.answer()
            assert (code, json.loads(body)["metadata"]["name"]) == (201, name)
        for _ in range(20):
            assert await client.answer() == (200, b"ok")


async def test_what_came_before_nonsense_is_answered_first(server: Server) -> None:
    async with wire(server) as client:
        client.send(get("/healthz") + "NONSENSE\r\n\r\n" + get("/healthz"))
        assert await client.answer() == (200, b"ok")
        code, body = await client.answer()
        assert (code, json.loads(body)["reason"]) == (400, "BadRequest")
        assert await client.rest() == b""


async def test_a_body_in_chunks_and_in_pieces(server: Server) -> None:
    body = json.dumps(pod("x")).encode()
    async with wire(server) as client:
        client.send(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 20):
            piece = body[start : start + 20]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        client.send("0\r\n\r\n")
        assert (await client.answer())[0] == 201


async def test_continue_is_said_before_the_body_and_after_earlier_answers(server: Server) -> None:
    async with wire(server) as client:
        for before in ("", get("/healthz")):
            body = json.dumps(pod(f"x{len(before)}"))
            client.send(before + post(body, "Expect: 100-continue\r\n").removesuffix(body))
            if before:
                assert await client.answer() == (200, b"ok")
            assert await client.head() == "HTTP/1.1 100 Continue\r\n\r\n"
            client.send(body)
            assert (await client.answer())[0] == 201


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (f"POST {PODS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {10**7}\r\n\r\n", 413),
        (f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**30}\r\n\r\n", 400),
        (f"POST {PODS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n{'x' * 0x400001}", 413),
        (get("/", f"X: {'x' * 20_000}\r\n"), 400),
        (f"GET / HTTP/1.1\r\nX: {'x' * 40_000}", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        (f"POST {PODS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
    ids=["announced", "absurd", "chunked", "header", "endless header", "line feeds", "no chunk"],
)
async def test_refused_without_being_read_to_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch, data: str, code: int
) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)
    async with wire(server) as client:
        client.send(data)
        got, body = await client.answer()
        assert (got, json.loads(body)["kind"]) == (code, "Status")
        assert await client.rest() == b""


async def test_what_was_refused_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)
    log = tmp_path / "audit.log"
    server = Server(Memory(), Settings(audit_log_path=str(log)), Tracer("kube-apiserver"), insecure=True)
    async with server:
        await server.start()
        async with wire(server) as client:
            client.send(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**7}\r\n\r\n")
            await client.rest()
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["verb"], line["requestURI"], line["responseStatus"]["code"]) == ("post", PODS, 413)


async def test_head_has_no_body(server: Server) -> None:
    async with wire(server) as client:
        client.send(f"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n{get('/version', LAST)}")
        assert "Content-Length: 2" in await client.head()
        assert (await client.head()).startswith("HTTP/1.1 200")


async def test_http_1_0_knows_no_chunks(server: Server) -> None:
    async with wire(server) as client:
        client.send(f"GET {PODS}?watch=true&timeoutSeconds=1 HTTP/1.0\r\n\r\n")
        head = await client.head()
        assert "Connection: close" in head
        assert "chunked" not in head
        assert await client.rest() == b""


async def test_an_upgrade_that_nobody_wants_is_an_ordinary_request(server: Server) -> None:
    async with wire(server) as client:
        client.send(get("/healthz", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n") + get("/healthz", LAST))
        assert await client.answer() == (200, b"ok")
        assert await client.answer() == (200, b"ok")


@pytest.mark.parametrize("data", ["", "GET / HT"])
async def test_who_says_nothing_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.1)
    async with wire(server) as client:
        client.send(data)
        assert await client.rest() == b""


@pytest.mark.cis("1.2.20")
async def test_half_a_body_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.1)
    async with wire(server) as client:
        client.send(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{")
        status, body = await client.answer()
        assert (status, json.loads(body)["reason"]) == (504, "Timeout")
        assert await client.rest() == b""


async def test_a_watcher_that_does_not_read_is_cut_off(
    server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.1)
    async with wire(server) as client:
        client.send(get("/api/v1/configmaps?watch=true"))
        await client.head()
        big = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"x": "x" * 900_000}}
        await eventually(lambda: _watchers(server) == 1, expect="the watch is open")
        for number in range(30):  # more than the kernel takes over
            big["metadata"] = {"name": f"x{number}"}
            await http.made("/api/v1/namespaces/default/configmaps", big)
        await eventually(lambda: _watchers(server) == 0, expect="the watch is cut off")


def _watchers(server: Server) -> float:
    return sum(server._metrics.watchers.values.values())


async def test_a_watch_ends_when_its_client_goes(server: Server) -> None:
    async with wire(server) as client:
        client.send(get(f"{PODS}?watch=true"))
        await client.head()
        await eventually(lambda: _watchers(server) == 1, expect="the watch is open")
    await eventually(lambda: _watchers(server) == 0, expect="the watch is over")


async def test_a_server_that_stops_ends_watches_properly(server: Server) -> None:
    async with wire(server) as client:
        client.send(get(f"{PODS}?watch=true"))
        await client.head()
        await server.stop()
        assert await client.rest() == b"0\r\n\r\n"


def test_no_header_ends_early() -> None:
    assert header("Warning", 'unknown "a\r\nSet-Cookie: b"') == b'Warning: unknown "a  Set-Cookie: b"\r\n'


def test_the_first_value_of_a_parameter_counts() -> None:
    assert parser.query_of("a=1&a=2&b&c=%20x") == {"a": "1", "b": "", "c": " x"}


async def test_a_bug_on_the_way_does_not_leave_the_client_waiting(
    server: Server, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> User:
        raise KeyError("bug")

    monkeypatch.setattr(server._http, "user_of", broken)
    async with wire(server) as client:
        client.send(get("/healthz"))
        with contextlib.suppress(ConnectionResetError):
            assert await client.rest() == b""
    assert "Traceback" in log.getvalue()
