"""Links in a page that is proxied: `<a href="/style.css">` means the backend's root, not the API server's.

Only paths from the root are changed: relative links are right as they are once the page's own path ends with a slash,
and links to other hosts are nobody's business here. Page by page in pieces: what is kept back is a tag that has not
ended yet. A page packed by gzip is unpacked for it. Source: pkg/util/proxy/transport.go of Kubernetes 1.0, which has
the same tags and attributes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

LONGEST_TAG = 64 * 1024  # bytes; a longer one passes as it is
PIECE = 64 * 1024  # bytes of an unpacked page
GZIP = zlib.MAX_WBITS | 16  # what zlib calls it
_TAG = re.compile(rb"<[a-z][^<>]*>", re.IGNORECASE)
_LINK = re.compile(
    rb"""(\s(?:action|background|cite|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src|usemap)
    \s*=\s*["']?)(/(?!/)[^"'\s>]*)""",
    re.IGNORECASE | re.VERBOSE,
)


def with_prefix(page: bytes, prefix: str) -> bytes:
    """Whole tags and the text between them, with the prefix before every path from the root."""
    start = prefix.encode()

    def link(found: re.Match[bytes]) -> bytes:
        path = found[2]
        return found[0] if path.startswith(start + b"/") else found[1] + start + path

    return _TAG.sub(lambda tag: _LINK.sub(link, tag[0]), page)


async def unzipped(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """What gzip has packed, in pieces of bounded size however well it was packed; to where it cannot be unpacked any
    more."""
    unpack = zlib.decompressobj(GZIP)
    async with aclosing(chunks):
        async for chunk in chunks:
            while chunk:
                try:
                    piece = unpack.decompress(chunk, PIECE)
                except zlib.error:
                    return
                chunk = unpack.unconsumed_tail
                if unpack.eof:  # another member may follow
                    chunk, unpack = unpack.unused_data, zlib.decompressobj(GZIP)
                if piece:
                    yield piece


async def rewritten(chunks: AsyncGenerator[bytes, None], prefix: str) -> AsyncGenerator[bytes, None]:
    """The same page in pieces."""
    rest = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            page = rest + chunk
            cut = page.rfind(b"<")
            open_tag = cut >= 0 and b">" not in page[cut:] and len(page) - cut < LONGEST_TAG
            page, rest = (page[:cut], page[cut:]) if open_tag else (page, b"")
            yield with_prefix(page, prefix)
    yield rest
