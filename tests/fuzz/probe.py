"""One probe: ask, and say what of all that must hold does not.

A refusal is a Status and leaves the store as it was. What was stored can be read: by itself, and as a Table. Every
answer fits the schema that the server's own OpenAPI document gives for it, unknown members included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import jsonschema_rs

from labkit.api.kinds import KINDS
from tests.fuzz.counts import Counts
from tests.fuzz.exchange import Exchange, Sent
from tests.fuzz.routes import narrowed
from tests.fuzz.world import World

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Probe:
    """Asks one world, and counts."""

    def __init__(self, world: World, counts: Counts) -> None:
        self.world = world
        self.counts = counts
        documents = [narrowed(world.get(f"/openapi/v3{root}")) for root in {kind.root: 1 for kind in KINDS.values()}]
        self.schemas: dict[str, Any] = {
            name: schema for document in documents for name, schema in document["components"]["schemas"].items()
        }
        self._components = {"schemas": self.schemas}
        self._validators: dict[str, Any] = {}

    def __call__(self, label: str, sent: Sent) -> None:
        """label: the route."""
        before = self.world.revision() if sent.changes else 0
        try:
            exchange = self.world.send(sent)
        except OSError as error:
            self.counts.broken(label, sent, f"no answer: {error!r}")
            return
        faults = exchange.faults()
        if sent.changes:
            faults += self._store_faults(exchange, before)
        if exchange.code < 300 and not exchange.streams:
            faults += self._schema_faults(exchange)
        self.counts.answered(label, exchange, faults)

    def _store_faults(self, exchange: Exchange, before: int) -> list[str]:
        asked = parse_qs(urlsplit(exchange.sent.target).query, keep_blank_values=True)
        unchanged = self.world.revision() == before
        if exchange.code >= 300:
            return [] if unchanged else ["it was refused, and the store has changed"]
        if asked.get("dryRun") == ["All"]:
            return [] if unchanged else ["it was a dry run, and the store has changed"]
        if exchange.sent.method == "DELETE" or exchange.streams:
            return []
        return self._reading_faults(exchange.sent.method, exchange.sent.target, exchange.document)

    def _reading_faults(self, method: str, target: str, stored: Mapping[str, Any]) -> list[str]:
        """What was answered to a change is what is there."""
        link = stored.get("metadata", {}).get("selfLink", "")
        if not link.startswith("/api/v1/") or link.endswith("/scale"):
            return []
        link, found = quote(link), []
        if not urlsplit(target).path.startswith(link if method != "POST" else link.rpartition("/")[0]):
            found.append(f"it was stored elsewhere: {link}")
        one, table = self.world.ask("GET", link), self.world.ask("GET", link, Accept=TABLE)
        if is_over(stored) and one.code == table.code == 404:
            return found
        if one.code != 200 or one.document != stored:
            found.append(f"read back it is another: {one}")
        if table.code != 200 or len(table.document["rows"]) != 1:
            found.append(f"its Table: {table}")
        return found

    def _schema_faults(self, exchange: Exchange) -> list[str]:
        """By the kind that the answer says it is."""
        if exchange.said.get("content-type") != "application/json":
            return []
        document = exchange.document
        kind = document.get("kind", "") if isinstance(document, dict) else ""
        name = next((name for name in self.schemas if name.rpartition(".")[2] == kind), "")
        if not name:
            return []
        validator = self._validators.get(name)
        if validator is None:
            whole = {"$ref": f"#/components/schemas/{name}", "components": self._components}
            validator = self._validators[name] = jsonschema_rs.Draft4Validator(whole)
        errors = list(validator.iter_errors(document))[:3]
        return [f"does not fit the schema of {kind}: {error.instance_path}: {error.message}" for error in errors]


def is_over(stored: Mapping[str, Any]) -> bool:
    """Of something that was being deleted the change took the last finalizer away, and that was its end."""
    meta = stored["metadata"]
    return "deletionTimestamp" in meta and not meta.get("deletionGracePeriodSeconds") and "finalizers" not in meta
