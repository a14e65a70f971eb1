"""Hand a bundle to the room: an HTTP server for one file, which goes on where a copy broke off.

    GET /            what this is, and the line to type
    GET /NAME        the file; a Range asks for the rest of it, an ETag says whether it is still the same file

Plain HTTP: the file is signed, and its fingerprint is what its receiver compares. Nothing else is served.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from labkit.provision.bundle.archive import Bundle

CHUNK = 1 << 18  # bytes read at a time
WRITE_SECONDS = 60.0  # a client that takes nothing for so long is let go


class Copies:
    """Who has got how much: {client's address: bytes from the beginning of the file}."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: dict[str, int] = {}


class Server:
    """Serves until `stop`. told: called when a client has got more."""

    def __init__(self, bundle: Bundle, told: Callable[[Copies], None] = lambda copies: None) -> None:
        self._path: Path = bundle.path
        self._etag = f'"{bundle.digest[:32]}"'
        self._fingerprint = bundle.fingerprint
        self._told = told
        self.copies = Copies(bundle.path.stat().st_size)
        self._app = web.Application()
        self._app.router.add_get("/", self._hello)
        self._app.router.add_get(f"/{bundle.path.name}", self._file)
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1.0)

    async def start(self, address: str, port: int) -> int:
        """The port in use (0 takes a free one). Raises OSError when the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _hello(self, request: web.Request) -> web.Response:
        url = f"http://{request.host}/{self._path.name}"
        return web.Response(text=f"labkit bundle fetch {url}\nmade by {self._fingerprint}\n")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        first = self._first(request)
        if first > self.copies.size:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{self.copies.size}"})
        headers = {
            "ETag": self._etag, "Accept-Ranges": "bytes", "Content-Type": "application/x-tar",
            "Content-Length": str(self.copies.size - first),
        }  # fmt: skip
        if first:
            headers["Content-Range"] = f"bytes {first}-{self.copies.size - 1}/{self.copies.size}"
        answer = web.StreamResponse(status=206 if first else 200, headers=headers)
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        await self._send(answer, first, request.remote or "")
        await answer.write_eof()
        return answer

    def _first(self, request: web.Request) -> int:
        """The byte to begin with: of another file than the client has begun with, the first."""
        asked = request.http_range.start if "Range" in request.headers else None
        same = request.headers.get("If-Range", self._etag) == self._etag
        return asked if asked and asked > 0 and same else 0

    async def _send(self, answer: web.StreamResponse, at: int, client: str) -> None:
        with self._path.open("rb") as file:
            file.seek(at)
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                async with asyncio.timeout(WRITE_SECONDS):
                    await answer.write(chunk)
                at += len(chunk)
                self.copies.taken[client] = at
                self._told(self.copies)
