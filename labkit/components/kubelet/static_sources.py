"""Where static pods come from: a directory (or one file) of manifests on this machine, a URL.

Each is read again and again. One file that cannot be understood harms no other: what it said before holds until it can
be read again, or is gone.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from labkit.api.types import Pod
from labkit.components.kubelet.manifests import ManifestFailure, fingerprint, parse
from labkit.components.kubelet.times import stamp

SOURCE = "kubernetes.io/config.source"
SEEN = "kubernetes.io/config.seen"
HASH = "kubernetes.io/config.hash"
URL_SECONDS = 10.0
LARGEST = 1 << 20


class SourceAway(Exception):
    """A directory or a URL cannot be read; what it said before holds."""


Texts = dict[str, bytes]
"""By path or URL, what it says."""


@dataclass
class Source:
    """kind: `file` or `http`, as the annotation says. pods: by path or URL. ready: it was read at least once."""

    kind: str
    node: str
    complain: Callable[[str], None]
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    ready: bool = False
    _known: Texts = field(default_factory=dict)
    _complaints: set[str] = field(default_factory=set)

    def take(self, texts: Texts) -> bool:
        """Understand what was read; whether anything is new."""
        changed = [where for where in texts if self._known.get(where) != texts[where]]
        gone = [where for where in self._known if where not in texts]
        news = not self.ready or bool(gone)
        for where in gone:
            self.pods.pop(where, None)
        for where in changed:
            try:
                pods = [identify(pod, self.kind, where, self.node) for pod in parse(texts[where], where)]
                self.pods[where], news = pods, True
            except ManifestFailure as exc:
                self.complain(str(exc))
        self._known, self.ready = texts, True
        return news


def identify(pod: Pod, kind: str, where: str, node: str) -> Pod:
    """A pod of this node: named for it, bound to it, and with a uid that its text alone decides - so that a kubelet
    which comes back knows its containers."""
    meta = pod.metadata
    meta.uid = hashlib.md5(
        b"\0".join([node.encode(), where.encode(), fingerprint(pod)]), usedforsecurity=False
    ).hexdigest()
    meta.name = f"{meta.name}-{node}"
    meta.annotations = meta.annotations | {SOURCE: kind, SEEN: stamp(time.time()), HASH: meta.uid}
    pod.spec.node_name = node
    pod.status.phase = "Pending"
    return pod


def read_files(path: Path) -> Texts:
    """A file, or the files of a directory, hidden ones and subdirectories apart. SourceAway, also when it is not
    there: an unmounted disk must not end the pods."""
    try:
        if not path.is_dir():
            return {str(path): path.read_bytes()[:LARGEST]}
        files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
        return {str(file): file.read_bytes()[:LARGEST] for file in files}
    except FileNotFoundError as exc:
        raise SourceAway(f"--config: {path} is not there: make the directory, or correct the flag") from exc
    except OSError as exc:
        raise SourceAway(f"--config: {exc}") from exc


async def read_url(url: str) -> Texts:
    """SourceAway when nobody answers, or not with 200."""
    try:
        timeout = aiohttp.ClientTimeout(total=URL_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            text = await answer.content.read(LARGEST)
            if answer.status != 200:
                raise SourceAway(f"--manifest-url: {url} answers {answer.status} {answer.reason}")
    except TimeoutError as exc:
        raise SourceAway(f"--manifest-url: {url}: no answer within {URL_SECONDS:g} s") from exc
    except (aiohttp.ClientError, ValueError, OSError) as exc:
        raise SourceAway(f"--manifest-url: {url}: {exc or type(exc).__name__}") from exc
    return {url: text}
