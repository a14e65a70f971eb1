import asyncio

import pytest

from labkit.healthz import healthz, response


async def ask(port: int, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    answer = await asyncio.wait_for(reader.read(), 2)
    writer.close()
    return answer.decode()


async def test_ok_and_what_is_wrong() -> None:
    trouble = [""]
    async with healthz(0, lambda: trouble[0]) as port:
        answer = await ask(port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith("HTTP/1.1 200 OK\r\n")
        assert answer.endswith("\r\n\r\nok")
        trouble[0] = "waiting for the API server"
        answer = await ask(port, "GET /healthz HTTP/1.1\r\n\r\n")
        assert answer.startswith("HTTP/1.1 500 ")
        assert answer.endswith("\r\n\r\nwaiting for the API server\n")


@pytest.mark.cis("1.3.7", "1.4.2", "4.3.1")
async def test_it_listens_on_loopback_only_while_the_block_runs() -> None:
    async with healthz(0) as port:
        assert "ok" in await ask(port, "GET /healthz?verbose HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionRefusedError):
        await ask(port, "GET /healthz HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        pytest.param(b"GET /debug/pprof/profile HTTP/1.1\r\n\r\n", b"404", marks=pytest.mark.cis("1.3.2", "1.4.1")),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"200"),
        (b"\r\n\r\n", b"405"),
    ],
)
def test_other_requests(head: bytes, status: bytes) -> None:
    answer = response(head, "")
    assert answer.split()[1] == status
    assert answer.endswith(b"\r\n\r\n") == head.startswith(b"HEAD")
