"""What no HTTP library sends: half requests, wrong framing, other protocols, too much of everything.

The answer is a Status and a closed connection, the store is untouched, and the audit log has a line of it.
"""

import asyncio
import json
import zlib

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from labkit.testing.eventually import eventually
from tests.fuzz.conftest import SEED
from tests.fuzz.documents import mangled
from tests.fuzz.objects import document
from tests.fuzz.probe import Probe
from tests.fuzz.sockets import PODS, Said, head, say
from tests.fuzz.world import World

CLOSE = b"Connection: close"
POST, GET = b"POST " + PODS, b"GET /healthz/ping"
MEGABYTE = 1024 * 1024

NOT_HTTP = {
    "words": b"GARBAGE\r\n\r\n",
    "zeros": b"\x00" * 200,
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "tls in tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no such version": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": head(b"GET healthz"),
    "lower case method": head(b"get /healthz"),
    "unknown method": head(b"BREW /healthz"),
    "bytes in the target": head(b"GET /api/v1/namespaces/\xff/pods"),
    "too long a target": head(b"GET /" + b"a" * 40_000),
    "too long a header": head(GET, b"A: " + b"a" * 40_000),
    "too many headers": head(GET, *(b"A%d: b" % number for number in range(5000))),
    "space before the colon": head(GET, host=b"Host : x"),
    "no colon": head(GET, b"banana"),
    "zero in a header": head(GET, b"A: b\x00c"),
    "folded header": head(GET, b"A: b\r\n c"),
    "length and chunks": head(POST, b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "two lengths": head(POST, b"Content-Length: 2", b"Content-Length: 3") + b"{} ",
    "negative length": head(POST, b"Content-Length: -2") + b"{}",
    "length is a word": head(POST, b"Content-Length: two") + b"{}",
    "length of 50 digits": head(POST, b"Content-Length: " + b"9" * 50) + b"{}",
    "unknown encoding": head(POST, b"Transfer-Encoding: banana") + b"{}",
    "chunk size is no number": head(POST, b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "chunk size of 20 digits": head(POST, b"Transfer-Encoding: chunked") + b"f" * 20 + b"\r\n{}\r\n0\r\n\r\n",
    "chunk longer than told": head(POST, b"Transfer-Encoding: chunked") + b"1\r\n{}\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.fixture
def world(probe: Probe) -> World:
    probe.world.furnish()
    return probe.world


def statuses(said: Said, *methods: str) -> list[int]:
    """The codes of all answers, each of which is in order."""
    answers = said.answers(*methods)
    assert not [fault for answer in answers for fault in answer.faults()], said
    return [answer.code for answer in answers]


async def test_what_is_no_http_gets_a_status_and_is_audited(world: World) -> None:
    before, lines = world.revision(), refusals(world)
    said = dict(zip(NOT_HTTP, await asyncio.gather(*(say(world, data) for data in NOT_HTTP.values())), strict=True))
    codes = {name: statuses(one) for name, one in said.items()}
    assert {name: found for name, found in codes.items() if found not in ([400], [414], [431])} == {}
    assert [name for name, one in said.items() if not one.closed] == []
    assert world.revision() == before
    await eventually(lambda: refusals(world) == lines + len(NOT_HTTP), 5, expect="a line for each")


def refusals(world: World) -> int:
    """So many requests that were none are in the audit log."""
    lines = (json.loads(line) for line in world.audit.read_text().splitlines())
    return sum(line["responseStatus"]["code"] in (400, 413, 414, 431) for line in lines)


@pytest.mark.parametrize(
    ("data", "methods", "codes"),
    [
        (head(GET, CLOSE), (), [200]),
        (b"GET /healthz/ping HTTP/1.0\r\n\r\n", (), [200]),
        (head(b"GET https://x/healthz/ping", CLOSE), (), [200]),
        (head(b"HEAD /healthz/ping", CLOSE), ("HEAD",), [200]),
        (head(b"HEAD /nope", CLOSE), ("HEAD",), [404]),
        (head(b"OPTIONS *", CLOSE), (), [404]),
        (head(GET, b"User-Agent: \xff\xfe", CLOSE), (), [200]),
        (head(GET, b"content-LENGTH: 2", CLOSE) + b"{}", (), [200]),
        (head(GET) + head(b"GET /version") + head(b"GET /nope", CLOSE), (), [200, 200, 404]),
        (head(POST, b"Content-Length: 2") + b"{}" + head(GET, CLOSE), (), [422, 200]),
        (head(POST, b"Expect: 100-continue", b"Content-Length: 2", CLOSE) + b"{}", (), [422]),
        (head(POST, b"Transfer-Encoding: chunked", CLOSE) + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: x\r\n\r\n", (), [422]),
        (head(b"GET /api/v1/pods?labelSelector=%ff%zz&&=&a&a=1&a=2", CLOSE), (), [400]),
        (head(b"GET /api/v1/namespaces/%ff%00/pods", CLOSE), (), [404]),
        (head(POST, b"Content-Type: \xe9/x", b"Content-Length: 2", CLOSE) + b"{}", (), [415]),
        (head(POST, b"Content-Type: text/yaml", b"Content-Length: 2", CLOSE) + b"{}", (), [415]),
        (head(POST, b"Content-Type: application/json, text/yaml", b"Content-Length: 2", CLOSE) + b"{}", (), [415]),
        (head(b"TRACE /api", CLOSE), (), [405]),
        (head(GET, b"Upgrade: h2c", b"Connection: Upgrade, close"), (), [200]),
    ],
)
async def test_what_is_odd_and_still_http(
    world: World, data: bytes, methods: tuple[str, ...], codes: list[int]
) -> None:
    said = await say(world, data)
    assert statuses(said, *methods) == codes
    assert said.closed


async def test_the_same_byte_by_byte(world: World) -> None:
    data = head(b"GET /version", CLOSE)
    said = await say(world, *(data[at : at + 1] for at in range(len(data))), pause=0.001)
    assert statuses(said) == [200]


async def test_more_than_three_megabytes_are_not_read(world: World) -> None:
    """Announced, it is refused before it is sent; in chunks, as soon as it is too much."""
    before, lines = world.revision(), refusals(world)
    announced = await say(world, head(POST, b"Content-Length: 99999999999"))
    chunk = b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"
    sent = await say(world, head(POST, b"Content-Length: %d" % (4 * MEGABYTE)), *[b" " * MEGABYTE] * 4)
    chunked = await say(world, head(POST, b"Transfer-Encoding: chunked"), *[chunk] * 5)
    for said in (announced, sent, chunked):
        assert statuses(said) == [413]
        assert said.closed
    assert world.revision() == before
    await eventually(lambda: refusals(world) == lines + 3, 5, expect="a line for each")


async def test_three_megabytes_are(world: World) -> None:
    body = json.dumps(document("Pod", "large")).encode().ljust(3 * MEGABYTE)
    said = await say(world, head(POST, b"Content-Length: %d" % len(body), CLOSE), body)
    assert statuses(said) == [201]


async def test_a_client_that_hangs_up_in_the_middle_harms_nobody(world: World) -> None:
    before = world.revision()
    for data in (b"", b"GET /he", head(POST, b"Content-Length: 50"), head(POST, b"Content-Length: 50") + b'{"kind"'):
        await say(world, data, seconds=0.05)
    watch = await say(world, head(b"GET /api/v1/pods?watch=1"), seconds=0.2)
    assert statuses(watch) == [200]
    assert not watch.closed
    assert world.revision() == before


async def test_idle_and_half_connections_do_not_keep_others_out(world: World) -> None:
    half = [asyncio.ensure_future(say(world, head(POST, b"Content-Length: 50"), seconds=3)) for _ in range(200)]
    await asyncio.sleep(0.5)
    assert statuses(await say(world, head(GET, CLOSE), seconds=2)) == [200]
    await asyncio.gather(*half)


def test_bytes_at_random(world: World) -> None:
    """Requests with pieces cut out and put in, fifty at a time: what comes back is HTTP, and in order."""
    body = json.dumps(document("ConfigMap", "random")).encode()
    path = b"POST /api/v1/namespaces/fuzz/configmaps?dryRun=All"
    requests = [
        head(GET, CLOSE),
        head(path, b"Content-Type: application/json", b"Content-Length: %d" % len(body), CLOSE) + body,
        head(path, b"Transfer-Encoding: chunked", CLOSE) + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
        head(b"GET /api/v1/pods?labelSelector=a%3Db&limit=1", b"Accept: application/json", CLOSE),
        head(GET) + head(b"GET /version", CLOSE),
    ]
    wrong = st.lists(st.sampled_from(requests).flatmap(mangled), min_size=50, max_size=50)
    before = world.revision()

    @seed(zlib.crc32(f"{SEED} bytes".encode()))
    @settings(max_examples=6, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(wrong)
    def ask(batch: list[bytes]) -> None:
        async def all_at_once() -> list[Said]:
            return await asyncio.gather(*(say(world, data, seconds=1.0) for data in batch))

        for data, said in zip(batch, asyncio.run(all_at_once()), strict=True):
            assert set(statuses(said)) <= {200, 201, 400, 404, 405, 409, 413, 414, 415, 422, 431}, (data, said)

    ask()
    assert world.revision() == before
    assert not world.complaints()
