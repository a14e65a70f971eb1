"""Protobuf bodies: fields by the server's tables, with values of the right kind and of any other."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from labkit.api.protobuf import MAGIC
from labkit.api.protobuf_tables import MESSAGES
from tests.fuzz import values

PLACES = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/fuzz/pods",
    "Service": "/api/v1/namespaces/fuzz/services",
    "ConfigMap": "/api/v1/namespaces/fuzz/configmaps",
    "Secret": "/api/v1/namespaces/fuzz/secrets",
    "ServiceAccount": "/api/v1/namespaces/fuzz/serviceaccounts",
    "ResourceQuota": "/api/v1/namespaces/fuzz/resourcequotas",
    "Eviction": "/api/v1/namespaces/fuzz/pods/fuzz/eviction",
    "SelfSubjectAccessReview": "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "SelfSubjectReview": "/apis/authentication.k8s.io/v1/selfsubjectreviews",
}
_VARINT, _BYTES = 0, 2
_DEEPEST = 6


def varint(number: int) -> bytes:
    """Seven bits a byte; negative numbers as 64 bits."""
    number &= (1 << 64) - 1
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def messages(kind: str) -> SearchStrategy[bytes]:
    """Whole bodies: the envelope and the object in it."""
    version = {"Eviction": b"policy/v1", "SelfSubjectAccessReview": b"authorization.k8s.io/v1",
               "SelfSubjectReview": b"authentication.k8s.io/v1"}.get(kind, b"v1")  # fmt: skip
    envelope = field(1, version) + field(2, kind.encode())
    named = field(1, field(1, b"fresh"))  # metadata.name, of nearly every kind
    raw = st.tuples(st.sampled_from([named, b""]), _message(kind, 0)).map(b"".join)
    return raw.map(lambda raw: MAGIC + field(1, envelope) + field(2, raw))


@st.composite
def _message(draw: st.DrawFn, name: str, depth: int) -> bytes:
    known, body = MESSAGES[name], b""
    for _ in range(draw(st.integers(0, 4))):
        number = draw(st.sampled_from(sorted(known)) if known else st.integers(1, 20))
        of = known[number].type if number in known else "bytes"
        if draw(st.integers(0, 19)) == 0:
            of, number = draw(st.sampled_from(["int", "bytes", of])), draw(st.just(number) | st.integers(0, 2**31))
        body += field(number, draw(_value(of, depth + 1)))
    return body


def _value(of: str, depth: int) -> SearchStrategy[int | bytes]:
    if of in ("int", "int32", "bool"):
        return st.sampled_from([0, 1, -1, 80, 65536, 2**31, 2**63 - 1, -(2**63), 253402300800])
    if of in ("time", "quantity", "int-or-string"):
        of = {"time": "Timestamp", "quantity": "Quantity", "int-or-string": "IntOrString"}[of]
    if of in MESSAGES and depth < _DEEPEST:
        return _message(of, depth)
    if of in ("bytes", "base64"):
        return st.binary(max_size=6)
    return values.texts().map(lambda text: text.encode(errors="replace"))
