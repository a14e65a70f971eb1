"""An object as the cache holds it: its JSON, made once, and the few things that selectors ask about.

The store's value has no resourceVersion (it is not known before the write); the cache puts it in, as bytes:

    stored   {"kind":"Pod","apiVersion":"v1","metadata":{"name":"x",...
    served   {"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"41","name":"x",...
"""

from __future__ import annotations

from typing import Any

import msgspec

from labkit.api.fields import field_labels
from labkit.api.kinds import Kind
from labkit.api.types import Object

_encoder = msgspec.json.Encoder()


class Codec:
    """How objects of one kind become stored values and come back."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind.type)
        before, metadata, _ = _encoder.encode(kind.type()).partition(b'"metadata":{')
        self._head = before + metadata
        self._version_at = len(self._head) + len(b'"resourceVersion":"')

    def value(self, obj: Object) -> bytes:
        """What is stored: the object without its resourceVersion."""
        obj.metadata.resource_version = ""
        return _encoder.encode(obj)

    def entry(self, path: str, value: bytes, revision: int) -> Entry:
        """`path`: "namespace/name" or "name". Raises msgspec.ValidationError or DecodeError for a foreign value."""
        if not value.startswith(self._head):
            value = self.value(self.decode(value))  # written by another hand, fields in another order
        data = b'%b"resourceVersion":"%d",%b' % (self._head, revision, value[len(self._head) :])
        return Entry(self, path, data, revision)

    def unwritten(self, path: str, value: bytes) -> Entry:
        """The entry of a dry run: complete but for a resourceVersion."""
        return Entry(self, path, value, 0)

    def moved(self, entry: Entry, revision: int) -> Entry:
        """The same object under another resourceVersion (what a deletion shows)."""
        start = self._version_at
        end = start + len(str(entry.revision))
        data = b"%b%d%b" % (entry.data[:start], revision, entry.data[end:])
        return Entry(self, entry.path, data, revision)

    def decode(self, data: bytes) -> Any:
        return self._decoder.decode(data)


class Entry:
    """One object at one revision. Never changed: a new revision is a new entry."""

    __slots__ = ("_fields", "_labels", "_object", "codec", "data", "path", "revision")

    def __init__(self, codec: Codec, path: str, data: bytes, revision: int) -> None:
        self.codec = codec
        self.path = path
        self.data = data
        self.revision = revision
        self._labels: dict[str, str] | None = None
        self._fields: dict[str, str] = {}
        self._object: Any = None

    def decode(self) -> Any:
        """A fresh object that the caller may change."""
        return self.codec.decode(self.data)

    def seen(self) -> Any:
        """The object for whoever only looks at it: decoded once, and shared by all who look."""
        if self._object is None:
            self._object = self.decode()
        return self._object

    @property
    def labels(self) -> dict[str, str]:
        if self._labels is None:
            self._read()
        return self._labels or {}

    @property
    def fields(self) -> dict[str, str]:
        if self._labels is None:
            self._read()
        return self._fields

    def _read(self) -> None:
        obj = self.decode()
        self._labels = obj.metadata.labels
        self._fields = field_labels(obj)
