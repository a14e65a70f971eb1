"""What is asked, sorted: each campaign is a route, and a strategy for requests to it.

allowed, forbidden    what the OpenAPI document allows and forbids, by schemathesis
objects               POST and PUT of objects that are valid but for a few members
patches               JSON, merge, strategic and apply patches of them
bytes                 the same with pieces cut out or put in
protobuf              messages by our tables of fields, right and mangled
queries               selectors, limits, continue tokens, resourceVersions
below objects         scales, bindings, evictions, requests for tokens, options of a DELETE
paths                 what is no route, or hardly
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from labkit.api.kinds import KINDS, Kind
from labkit.api.strategies import strategy_of
from tests.fuzz import messages, patches, values
from tests.fuzz.documents import edited, mangled, written
from tests.fuzz.exchange import Sent
from tests.fuzz.probe import TABLE, Probe
from tests.fuzz.routes import CONNECTING, operations
from tests.fuzz.world import collection

_PODS = "/api/v1/namespaces/fuzz/pods"
JSON = {"Content-Type": "application/json"}
APPLIED = {"Content-Type": "application/apply-patch+yaml"}


class Campaign(NamedTuple):
    name: str
    label: str  # the route
    requests: SearchStrategy[Sent]


def explore(probe: Probe, campaign: Campaign, examples: int, number: int) -> None:
    """So many requests, the same ones for the same number. What is wrong is told by the probe's counts."""
    probe.counts.campaign = campaign.name

    @seed(zlib.crc32(f"{number} {campaign.name} {campaign.label}".encode()))
    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate], print_blob=False,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(campaign.requests)
    def ask(sent: Sent) -> None:
        probe(campaign.label, sent)

    ask()


def of_routes(probe: Probe) -> Iterator[Campaign]:
    """Every operation of the server's OpenAPI documents."""
    for operation in operations(probe.world):
        for name, allowed in (("allowed", True), ("forbidden", False)):
            yield Campaign(name, operation.label, operation.requests(allowed=allowed))


def of_kind(probe: Probe, kind: Kind) -> Iterator[Campaign]:
    """Objects and patches of a kind."""
    place, form = collection(kind), collection(kind, "{namespace}")
    objects = edited(probe.schemas, kind.kind)
    fresh = st.integers(0, 99).flatmap(lambda number: edited(probe.schemas, kind.kind, f"fresh{number}"))
    yield Campaign("objects", f"POST {form}", _sent("POST", st.just(place), fresh))
    for below in ("", *(f"/{name}" for name in ("status", "finalize") if name in kind.subresources)):
        here, one = f"{place}/fuzz{below}", f"{form}/{{name}}{below}"
        yield Campaign("objects", f"PUT {one}", _sent("PUT", st.just(here), objects))
        yield Campaign("patches", f"PATCH {one}", _patches(probe, kind, here))
    absent = edited(probe.schemas, kind.kind, "absent") | objects
    applied = absent.map(
        lambda found: Sent("PATCH", f"{place}/absent?dryRun=All&fieldManager=me", written(found), APPLIED)
    )
    if strategy_of(kind).create_on_update:
        yield Campaign("objects", f"PUT {form}/{{name}}", _sent("PUT", st.just(f"{place}/absent"), absent))
    yield Campaign("patches", f"PATCH {form}/{{name}}", applied)
    whole = st.tuples(st.sampled_from(["PUT", "DELETE"]), objects.flatmap(lambda found: mangled(written(found))))
    yield Campaign("bytes", f"PUT {form}/{{name}}",
                   whole.map(lambda pair: Sent(pair[0], f"{place}/fuzz?dryRun=All", pair[1], JSON)))  # fmt: skip
    yield Campaign("queries", f"GET {form}", _queries(place))
    yield Campaign("queries", f"GET {form}/{{name}}", _queries(f"{place}/fuzz"))


_BELOW = {
    "Scale": ("PUT", "replicationcontrollers", "scale"),
    "Binding": ("POST", "pods", "binding"),
    "Eviction": ("POST", "pods", "eviction"),
    "TokenRequest": ("POST", "serviceaccounts", "token"),
}


def of_the_rest(probe: Probe) -> Iterator[Campaign]:
    """What belongs to no kind, or hangs below an object of one."""
    for name, (method, resource, below) in _BELOW.items():
        path = f"{{}}/{resource}/{{}}/{below}"
        here = path.format("/api/v1/namespaces/fuzz", "fuzz")
        label = f"{method} {path.format('/api/v1/namespaces/{namespace}', '{name}')}"
        yield Campaign("below objects", label, _sent(method, st.just(here), edited(probe.schemas, name)))
    options = _sent("DELETE", st.sampled_from([f"{_PODS}/fuzz", _PODS]), edited(probe.schemas, "DeleteOptions"))
    yield Campaign("below objects", "DELETE /api/v1/namespaces/{namespace}/pods/{name}", options)
    for kind, path in messages.PLACES.items():
        bodies = messages.messages(kind).flatmap(lambda body: st.one_of(st.just(body), st.just(body), mangled(body)))
        yield Campaign("protobuf", f"POST {path}", bodies.map(partial(_protobuf, path)))
    anything = st.tuples(st.sampled_from(_METHODS), _paths(), st.sampled_from(_BODIES))
    yield Campaign("paths", "any", anything.map(lambda parts: Sent(*parts)))


def _protobuf(path: str, body: bytes) -> Sent:
    return Sent("POST", path, body, {"Content-Type": "application/vnd.kubernetes.protobuf"})


def _sent(method: str, places: SearchStrategy[str], objects: SearchStrategy[Any]) -> SearchStrategy[Sent]:
    modes = st.sampled_from(["", "", "?fieldValidation=Strict", "?fieldValidation=Warn", "?dryRun=All"])
    return st.tuples(places, modes, objects).map(
        lambda parts: Sent(method, parts[0] + parts[1], written(parts[2]), JSON)
    )


def _patches(probe: Probe, kind: Kind, place: str) -> SearchStrategy[Sent]:
    return patches.patches(probe.schemas, kind.kind).map(
        lambda pair: Sent("PATCH", place, pair[1], {"Content-Type": pair[0]})
    )


_ACCEPTED = ["", "*/*", "application/json", TABLE, "text/html", "application/json;as=Nonsense", "a;q=x, ,;", ","]
_NUMBERS = st.sampled_from(["", "0", "1", "2", "1", "2", "-1", "x", "1.5", "9" * 30, "٣", " 1", "0x1"])
_FLAGS = st.sampled_from(["", "true", "1", "false", "0", "yes"])
_PARAMETERS: dict[str, SearchStrategy[str]] = {
    "labelSelector": values.label_selectors(),
    "fieldSelector": values.field_selectors(),
    "limit": _NUMBERS,
    "continue": _NUMBERS | values.tokens(),
    "resourceVersion": _NUMBERS,
    "watch": _FLAGS,
    "timeoutSeconds": _NUMBERS,
    "allowWatchBookmarks": _FLAGS,
    "sendInitialEvents": _FLAGS,
    "pretty": _FLAGS,
    "includeObject": st.sampled_from(["None", "Metadata", "Object", "", "All"]),
    "resourceVersionMatch": st.sampled_from(["", "Exact", "NotOlderThan", "x"]),
}


def _queries(place: str) -> SearchStrategy[Sent]:
    """One to three parameters, a parameter twice as well."""
    one = st.one_of(*(st.tuples(st.just(name), strategy) for name, strategy in _PARAMETERS.items()))
    selectors = st.tuples(st.just("labelSelector"), values.label_selectors())
    queries = st.lists(one | selectors, min_size=1, max_size=3)
    return st.tuples(queries, st.sampled_from(_ACCEPTED)).map(
        lambda pair: Sent("GET", f"{place}?{urlencode(pair[0], errors='surrogatepass')}", b"", {"Accept": pair[1]})
    )


_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_BODIES = [b"", b"{}", b"[]", b"null", b"\x00", b"k8s\x00", b"kind: Pod"]
_SEGMENTS = [
    "api", "apis", "v1", "v2", "namespaces", "fuzz", "absent", "watch", "proxy", "openapi", "v3", "healthz", "metrics",
    "version", "..", ".", "", "%2e%2e", "%2f", "%00", "%ff", "%zz", "%", "ä", "a" * 300, "bindings", "binding", ":",
    "status", "scale", "finalize", "eviction", "log", "authorization.k8s.io", "selfsubjectaccessreviews", "{name}",
    "http:fuzz:80", "a:b:c:d", "componentstatuses", "*", "pods", "services", "nodes", "Pods", "redirect",
]  # fmt: skip


def _paths() -> SearchStrategy[str]:
    real = [part for kind in KINDS.values() for part in (kind.resource, kind.kind)]
    strange = st.text(max_size=5).map(lambda text: quote(text, safe="", errors="surrogatepass"))
    segment = st.sampled_from(_SEGMENTS) | st.sampled_from(real) | strange
    begin = st.sampled_from([["api", "v1"], ["api", "v1", "namespaces", "fuzz"], ["apis"], []])
    parts = st.tuples(begin, st.lists(segment, max_size=5)).map(lambda pair: _at_home([*pair[0], *pair[1]]))
    asked = st.sampled_from(["", "?", "?watch=1&timeoutSeconds=1", "?%ff=%zz", "?a=b&a=c", "?&&=", "?" + "a" * 2000])
    return st.tuples(parts, asked).map(lambda pair: "/" + "/".join(map(_quoted, pair[0])) + pair[1])


def _at_home(parts: list[str]) -> list[str]:
    """Only the kept objects are reached through the server: what they name is this machine."""
    if not any(f"/{part}" in CONNECTING for part in parts):
        return parts
    return [part.replace("fuzz", "kept") for part in parts]


def _quoted(part: str) -> str:
    return quote(part, safe="%:*{}")
