"""Take a bundle from whoever serves it; a copy that breaks off is gone on with, now or at the next try.

FILE.part         what has come so far
FILE.part.etag    of which file it is a part
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from yarl import URL

from labkit.provision.bundle.archive import Bundle, open_bundle
from labkit.provision.errors import BundleError, CommandFailed

TRIES, PAUSE = 5, 2.0  # times without a byte more; seconds between them
CONNECT_SECONDS, SILENT_SECONDS = 10.0, 30.0
CHUNK = 1 << 18

Progress = Callable[[int, int], None]
"""Told how many bytes are there, of how many."""


async def fetch(url: str, path: Path, progress: Progress = lambda have, of: None) -> Bundle:
    """The file whole, at `path`, its manifest proven. Raises CommandFailed (cannot be had) or BundleError."""
    part = path.with_name(f"{path.name}.part")
    tries = 0
    while True:
        had = _size(part)
        try:
            await _go_on(url, part, progress)
            break
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            tries = tries + 1 if _size(part) == had else 1
            if tries == TRIES or isinstance(exc, aiohttp.ClientResponseError):
                raise CommandFailed("host", f"fetch {url}", tail=_why(exc, part)) from exc
            await asyncio.sleep(PAUSE)
    try:
        found = open_bundle(part)
    except BundleError:
        _forget(part)  # nothing that could be gone on with
        raise
    part.replace(path)
    _forget(part)
    return Bundle(path, found.manifest, found.first, found.digest)


async def _go_on(url: str, part: Path, progress: Progress) -> None:
    """From the first byte that is missing. Raises ClientError, TimeoutError, OSError."""
    etag = _etag(part)
    have = _size(part) if etag else 0
    headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(URL(url), headers=headers) as answer:
        answer.raise_for_status()
        if answer.status != 206:
            have = 0
        whole = have + (answer.content_length or 0)
        if have == 0:
            part.with_name(f"{part.name}.etag").write_text(answer.headers.get("ETag", ""))
        with part.open("ab" if have else "wb") as file:
            async for chunk in answer.content.iter_chunked(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(have, whole)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _etag(part: Path) -> str:
    path = part.with_name(f"{part.name}.etag")
    return path.read_text() if path.exists() else ""


def _forget(part: Path) -> None:
    for path in (part, part.with_name(f"{part.name}.etag")):
        with suppress(FileNotFoundError):
            path.unlink()


def _why(exc: Exception, part: Path) -> str:
    words = f"{exc.status} {exc.message}" if isinstance(exc, aiohttp.ClientResponseError) else str(exc) or "no answer"
    kept = f"\n{_size(part):,} bytes are kept: the same command goes on from there" if _size(part) else ""
    return words + kept
