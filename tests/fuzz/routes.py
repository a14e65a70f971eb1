"""What schemathesis makes of the server's own OpenAPI documents: for each operation requests that the document allows,
and requests that it forbids.

Before that the documents are made a little narrower, so that more of what is made gets past the door: names of
namespaces and objects are mostly those that are there, and no object has members that its schema does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode

from tests.fuzz.exchange import Sent
from tests.fuzz.world import World

CONNECTING = ("/exec", "/attach", "/portforward", "/proxy", "/log")
_NAMES = ["fuzz", "fuzz", "fuzz", "fresh", "absent", "Wrong_Name"]


class Operation:
    """One operation of one of the documents. `label`: `GET /api/v1/pods`."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.label: str = found.label

    def requests(self, *, allowed: bool) -> SearchStrategy[Sent]:
        """What the document allows, or what it forbids (and the server may accept all the same)."""
        mode = GenerationMode.POSITIVE if allowed else GenerationMode.NEGATIVE
        strategy: SearchStrategy[Any] = self._found.as_strategy(generation_mode=mode)
        return strategy.map(sent)


def sent(case: Any) -> Sent:
    """What goes over the wire."""
    wire = case.as_transport_kwargs()
    body = wire.get("data", b"")
    if "json" in wire:
        body = json.dumps(wire["json"]).encode()
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    headers = {name: value for name, value in wire["headers"].items() if name in ("Content-Type", "Accept")}
    query = urlencode(wire.get("params") or {}, doseq=True, errors="surrogatepass")
    place = wire["url"] + "/" * (wire["url"].endswith("/proxy") and wire["method"] != "GET")  # GET of .../proxy: 301
    return Sent(wire["method"], place + (f"?{query}" if query else ""), body or b"", headers)


def operations(world: World) -> Iterator[Operation]:
    """Of all documents that /openapi/v3 names."""
    for place in world.get("/openapi/v3")["paths"].values():
        document = narrowed(world.get(place["serverRelativeURL"]))
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            yield Operation(found.ok())


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    for schema in document["components"]["schemas"].values():
        if schema.get("properties"):
            schema.setdefault("additionalProperties", False)
    for path, item in document["paths"].items():
        kept = path.endswith(CONNECTING)
        for parameter in item.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["schema"] = {"type": "string", "enum": ["kept", "absent"] if kept else _NAMES}
    return document
