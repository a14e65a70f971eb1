"""`GET /healthz` -> `ok`: what every component answers on a loopback port, so that people and labs can ask.

A component that counts things tells them under /metrics.

A component that waits for something says what: 500 and one line of text.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

REQUEST_SECONDS = 5.0


def healthy() -> str:
    """The answer of a component that is well whenever it answers."""
    return ""


@asynccontextmanager
async def healthz(
    port: int,
    trouble: Callable[[], str] = healthy,
    address: str = "127.0.0.1",
    metrics: Callable[[], str] | None = None,
) -> AsyncIterator[int]:
    """Serve /healthz inside the block; yields the port (0 asks for a free one).

    `trouble()` returns "" when all is well, else what is wrong. OSError when the port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
            writer.write(response(head, trouble(), metrics))
            await asyncio.wait_for(writer.drain(), REQUEST_SECONDS)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()  # who is still asking is not waited for


def response(head: bytes, wrong: str, metrics: Callable[[], str] | None = None) -> bytes:
    """The whole HTTP answer to a request's head."""
    words = head.split(None, 2)
    path = words[1].partition(b"?")[0] if len(words) > 1 else b""
    if words[:1] not in ([b"GET"], [b"HEAD"]):
        status, text = "405 Method Not Allowed", "only GET and HEAD\n"
    elif path == b"/metrics" and metrics:
        status, text = "200 OK", metrics()
    elif path not in (b"/healthz", b"/healthz/"):
        status, text = "404 Not Found", "try /healthz\n"
    elif wrong:
        status, text = "500 Internal Server Error", wrong + "\n"
    else:
        status, text = "200 OK", "ok"
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(text.encode())}"]
    answer = "\r\n".join([*lines, "Connection: close", "", text])
    return (answer if words[:1] != [b"HEAD"] else answer[: -len(text)]).encode()
