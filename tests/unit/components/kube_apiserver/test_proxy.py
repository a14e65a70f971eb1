"""What is proxied: whom a path leads to, what is told to whom, redirects, links, upgrades and refusals."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from labkit.api.errors import BadRequest, ServerUnavailable
from labkit.api.types import (
    Container,
    ContainerPort,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.components.kube_apiserver.backends import last_answer, located, passed_on
from labkit.components.kube_apiserver.html_links import rewritten, unzipped, with_prefix
from labkit.components.kube_apiserver.proxy import endpoint_addresses, named, pod_address, port_name
from labkit.components.kube_apiserver.server import Server, start_in_process
from tests.node.real_etcd import Authority

from .conftest import Http

PREFIX = "/api/v1/namespaces/default/pods/web/proxy"


class TestWhomItLeadsTo:
    def test_names(self) -> None:
        assert [named(text) for text in ("a", "a:80", "https:a:", "http:a:80")] == [
            ("", "a", ""), ("", "a", "80"), ("https", "a", ""), ("http", "a", "80")]  # fmt: skip
        for bad in ("a:b:c:d", "ftp:a:21"):
            with pytest.raises(BadRequest, match="expected"):
                named(bad)

    def pod(self, address: str = "10.244.1.2") -> Pod:
        ports = [ContainerPort(container_port=8080, name="web"), ContainerPort(container_port=9090, name="more")]
        spec = PodSpec(containers=[Container(name="c", ports=ports)])
        return Pod(metadata=ObjectMeta(name="p"), spec=spec, status=PodStatus(pod_ip=address))

    def test_a_pod(self) -> None:
        assert [pod_address(self.pod(), port) for port in ("", "more", "7")] == [
            "10.244.1.2:8080", "10.244.1.2:9090", "10.244.1.2:7"]  # fmt: skip
        for pod, port, told in (
            (self.pod(), "nope", "has no port nope"), (self.pod(""), "", "has no address yet"),
            (self.pod(), "99999", "'99999' is not a port"), (self.pod("127.0.0.1"), "", "address not allowed"),
            (self.pod("169.254.169.254"), "80", "address not allowed"), (self.pod("etcd"), "80", "is no address"),
        ):  # fmt: skip
            with pytest.raises(BadRequest, match=told):
                pod_address(pod, port)

    def test_a_service(self) -> None:
        ports = [ServicePort(name="a", port=1080), ServicePort(name="b", port=1081)]
        service = Service(metadata=ObjectMeta(name="s"), spec=ServiceSpec(ports=ports))
        assert [port_name(service, port) for port in ("", "b", "1080")] == [None, "b", "a"]
        with pytest.raises(ServerUnavailable, match='no service port 80 found for service "s"'):
            port_name(service, "80")
        subset = EndpointSubset(
            addresses=[EndpointAddress(ip="10.0.0.1"), EndpointAddress(ip="10.0.0.2")],
            ports=[EndpointPort(port=80, name="a"), EndpointPort(port=81, name="b")],
        )
        found = Endpoints(subsets=[subset])
        assert endpoint_addresses(found, "s", None) == ["10.0.0.1:80", "10.0.0.2:80"]
        assert endpoint_addresses(found, "s", "b") == ["10.0.0.1:81", "10.0.0.2:81"]
        with pytest.raises(ServerUnavailable, match='no endpoints available for service "s"'):
            endpoint_addresses(found, "s", "c")


class TestWhatIsTold:
    def test_headers(self) -> None:
        ours = {"authorization": "secret", "host": "h", "transfer-encoding": "chunked", "x-forwarded-for": "1.2.3.4"}
        named = {"connection": "close, X-Mine", "x-mine": "m"}
        assert passed_on({"accept": "a", "x-other": "o"} | ours | named) == {"accept": "a", "x-other": "o"}

    @pytest.mark.parametrize(
        ("location", "outside"),
        [
            ("/login?a=b#c", f"{PREFIX}/login?a=b#c"),
            ("http://10.0.0.1:80/login", f"{PREFIX}/login"),
            (f"{PREFIX}/login", f"{PREFIX}/login"),
            ("login", "login"),
            ("../up", "../up"),
            ("https://elsewhere/login", "https://elsewhere/login"),
            ("//elsewhere/login", "//elsewhere/login"),
        ],
    )
    def test_redirects(self, location: str, outside: str) -> None:
        assert located(location, "10.0.0.1:80", PREFIX) == outside

    @pytest.mark.parametrize(
        ("page", "outside"),
        [
            ('<a href="/x">/x</a>', '<a href="/p/x">/x</a>'),
            ("<img class=a src=/x.png >", "<img class=a src=/p/x.png >"),
            ("<form\nACTION='/x'>", "<form\nACTION='/p/x'>"),
            ('<a href="x"><a href="//h/x"><a href="http://h/x">', '<a href="x"><a href="//h/x"><a href="http://h/x">'),
            ('<a href="/p/x">', '<a href="/p/x">'),
            ('<a href="/"> a < b href="/x" &gt;', '<a href="/p/"> a < b href="/x" &gt;'),
            ("<p data-href='/x'>\xff", "<p data-href='/x'>\xff"),
        ],
    )
    async def test_links(self, page: str, outside: str) -> None:
        sent = page.encode("latin-1")
        assert with_prefix(sent, "/p") == outside.encode("latin-1")
        for size in (1, 2, 7):  # however it is cut into pieces

            async def pieces(size: int = size):  # type: ignore[no-untyped-def]
                for start in range(0, len(sent), size):
                    yield sent[start : start + size]

            assert b"".join([piece async for piece in rewritten(pieces(), "/p")]) == outside.encode("latin-1")

    async def test_packed_pages(self) -> None:
        page = b'<a href="/x">' + b" " * 10_000_000
        for size in (1, 100, 100_000):
            packed = gzip.compress(page[:20]) + gzip.compress(page[20:]) if size > 1 else gzip.compress(page[:1000])

            async def pieces(sent: bytes = packed, size: int = size):  # type: ignore[no-untyped-def]
                for start in range(0, len(sent), size):
                    yield sent[start : start + size]

            unpacked = [piece async for piece in unzipped(pieces())]
            assert b"".join(unpacked) == (page if size > 1 else page[:1000])
            assert max(map(len, unpacked)) <= 64 * 1024

    async def test_a_page_that_cannot_be_unpacked(self) -> None:
        async def pieces():  # type: ignore[no-untyped-def]
            yield gzip.compress(b"begin")
            yield b"nonsense"
            yield b"more"

        assert b"".join([piece async for piece in unzipped(pieces())]) == b"begin"

    async def test_a_page_that_is_one_endless_tag_is_not_kept(self) -> None:
        async def pieces():  # type: ignore[no-untyped-def]
            for _ in range(100):
                yield b"<a " + b"x" * 10_000

        longest = 0
        total = 0
        async for piece in rewritten(pieces(), "/p"):
            longest, total = max(longest, len(piece)), total + len(piece)
        assert (total, longest < 100_000) == (1_000_300, True)

    def test_a_refused_upgrade_is_the_last_answer(self) -> None:
        head = b"HTTP/1.1 302 Found\r\nConnection: keep-alive\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
        assert last_answer(head, "10.0.0.1:80", "/p") == (
            b"HTTP/1.1 302 Found\r\nLocation: /p/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )


EVENT = web.AppKey("event", asyncio.Event)


async def page(request: web.Request) -> web.Response:
    return web.Response(text='<a href="/x">', content_type="text/html", headers={"Set-Cookie": "a=b"})


async def packed(request: web.Request) -> web.Response:
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(b'<a href="/x">'), content_type="text/html", headers=headers)


async def moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere?a=b")


async def echoed(request: web.Request) -> web.Response:
    told = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"headers": told, "path": request.raw_path, "body": await request.text()})


async def slowly(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"first")
    await request.app[EVENT].wait()
    await answer.write(b"second")
    return answer


async def socket(request: web.Request) -> web.StreamResponse:
    if "refuse" in request.query:
        raise web.HTTPForbidden(text="not you")
    upgraded = web.WebSocketResponse(protocols=("chat",))
    await upgraded.prepare(request)
    async for message in upgraded:
        await upgraded.send_str(f"{message.data} back")
    return upgraded


@pytest.fixture(params=["http", "https"])
async def base(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The proxy's path to a backend, by a node's address, and the event that its /slowly waits for."""
    app = web.Application()
    event = app[EVENT] = asyncio.Event()
    pages = {"/page": page, "/packed": packed, "/moved": moved, "/slowly": slowly, "/socket": socket}
    for path, handler in pages.items():
        app.router.add_get(path, handler)
    app.router.add_route("*", "/echo/{rest:.*}", echoed)
    context = None
    if request.param == "https":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*Authority(tmp_path).issue("backend"))  # of a CA that nobody knows
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"/api/v1/nodes/{request.param}:n:{runner.addresses[0][1]}/proxy", event
    await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with await start_in_process() as server:
        yield server


@pytest.fixture
async def session(http: Http, server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}  # fmt: skip
    await http.made("/api/v1/nodes", node)
    async with aiohttp.ClientSession(server.base_url) as session:
        yield session


Base = tuple[str, asyncio.Event]


class TestThroughTheServer:
    async def test_request_and_answer(self, session: aiohttp.ClientSession, base: Base) -> None:
        said = {"X-Mine": "m", "X-Forwarded-For": "forged"}
        async with session.put(f"{base[0]}/echo/a%2Fb?c=%20d", data=b"body", headers=said) as answer:
            told = await answer.json()
        assert (told["path"], told["body"]) == ("/echo/a%2Fb?c=%20d", "body")
        assert told["headers"]["x-mine"] == "m"
        assert told["headers"]["x-forwarded-uri"] == f"{base[0]}/echo/a%2Fb"
        assert told["headers"]["x-forwarded-for"] == "127.0.0.1"

    async def test_pages_and_redirects(self, session: aiohttp.ClientSession, base: Base) -> None:
        async with session.get(f"{base[0]}/page") as answer:
            assert await answer.text() == f'<a href="{base[0]}/x">'
            assert answer.headers["Set-Cookie"] == "a=b"
        async with session.get(f"{base[0]}/packed") as answer:
            assert await answer.text() == f'<a href="{base[0]}/x">'
            assert "Content-Encoding" not in answer.headers
        async with session.get(f"{base[0]}/moved", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, f"{base[0]}/elsewhere?a=b")
        async with session.get(f"{base[0]}?a=b", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (301, f"{base[0]}/?a=b")

    async def test_one_user_s_cookies_are_not_another_s(self, session: aiohttp.ClientSession, base: Base) -> None:
        async with session.get(f"{base[0]}/page"):
            pass
        async with aiohttp.ClientSession(session._base_url) as another, another.get(f"{base[0]}/echo/") as answer:
            assert "cookie" not in (await answer.json())["headers"]

    async def test_nothing_is_held_back(self, session: aiohttp.ClientSession, base: Base) -> None:
        async with session.get(f"{base[0]}/slowly") as answer:
            assert await asyncio.wait_for(answer.content.readany(), 5) == b"first"
            base[1].set()
            assert await answer.read() == b"second"

    async def test_an_upgrade(self, session: aiohttp.ClientSession, base: Base) -> None:
        async with session.ws_connect(f"{base[0]}/socket", protocols=("chat",)) as upgraded:
            assert upgraded.protocol == "chat"
            for text in ("there", "x" * 100_000):
                await upgraded.send_str(text)
                assert await upgraded.receive_str() == f"{text} back"

    async def test_a_refused_upgrade_leads_nowhere_else(self, server: Server, http: Http, base: Base) -> None:
        """After it the backend must not hear anything of this client (CVE-2018-1002105 was that it did)."""
        await http.made("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}})  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"GET {base[0]}/socket?refuse HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"not you")
            writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), 0.5)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.lower().count(b"connection: close") == 1
        writer.close()
        await writer.wait_closed()

    async def test_nobody_is_there(self, http: Http, session: aiohttp.ClientSession) -> None:
        code, status = await http("GET", "/api/v1/nodes/http:n:1/proxy/x")
        assert (code, status["message"].startswith("error trying to reach http://127.0.0.1:1/x")) == (503, True)
        websocket = {"Connection": "Upgrade", "Upgrade": "websocket"}
        code, status = await http("GET", "/api/v1/nodes/https:n:1/proxy/x", None, **websocket)
        assert (code, status["message"].startswith("error dialing backend: 127.0.0.1:1")) == (500, True)
        code, status = await http("GET", "/api/v1/nodes/n:x/proxy/")
        assert (code, "'x' is not a port" in status["message"]) == (400, True)
