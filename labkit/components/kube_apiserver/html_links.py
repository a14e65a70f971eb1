"""Links in a page that is proxied: `<a href="/style.css">` means the backend's root, not the API server's.

Only paths from the root are changed: relative links are right as they are once the page's own path ends with a slash,
and links to other hosts are nobody's business here. Page by page in pieces: what is kept back is a tag that has not
ended yet. Source: pkg/util/proxy/transport.go of Kubernetes 1.0, which has the same tags and attributes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

LONGEST_TAG = 64 * 1024  # bytes; a longer one passes as it is
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
