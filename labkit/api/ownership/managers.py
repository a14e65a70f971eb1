"""What an apply and an update make of `metadata.managedFields`.

applied    the fields of the body are the manager's; what it named last time and nobody names now goes
updated    what was changed is the manager's, and nobody else's any more
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from labkit.api import codec
from labkit.api.errors import BadRequest, Conflict
from labkit.api.ownership.joining import joined, without
from labkit.api.ownership.paths import Path, Paths, from_fields, paths_of, spoken, to_fields, values_of
from labkit.api.ownership.shapes import of_type
from labkit.api.types import ManagedFieldsEntry, Object, Part, StatusCause, StatusDetails

BEFORE = "before-first-apply"  # whoever set what was there when an object was first applied
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"  # the manager of `kubectl apply --server-side`: it may take over what its client-side apply set
Document = dict[str, Any]


class Owner(NamedTuple):
    manager: str
    operation: str  # Apply or Update
    subresource: str = ""

    def __str__(self) -> str:
        """As a conflict names it."""
        below = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.manager}"{below}' + (" using v1" if self.operation == "Update" else "")


class Share(NamedTuple):
    time: str
    paths: Paths


Shares = dict[Owner, Share]


def read(entries: Iterable[ManagedFieldsEntry]) -> Shares:
    """Raises BadRequest for an entry that is none."""
    shares: Shares = {}
    for index, entry in enumerate(entries):
        if not entry.manager or entry.operation not in ("Apply", "Update") or entry.fields_type != "FieldsV1":
            where = f"metadata.managedFields[{index}]"
            raise BadRequest(f"{where}: expected a manager, operation Apply or Update, and fieldsType FieldsV1")
        owner = Owner(entry.manager, entry.operation, entry.subresource)
        shares[owner] = Share(entry.time or "", frozenset(from_fields(entry.fields_v1)))
    return shares


def write(shares: Shares) -> list[ManagedFieldsEntry]:
    """Those who own something; who applies first, then by time and name."""
    ordered = sorted(shares.items(), key=lambda share: (share[0].operation, share[1].time, share[0]))
    return [
        ManagedFieldsEntry(
            manager=owner.manager, operation=owner.operation, api_version="v1", time=share.time or None,
            fields_type="FieldsV1", fields_v1=to_fields(share.paths), subresource=owner.subresource,
        )
        for owner, share in ordered if share.paths
    ]  # fmt: skip


def updated(
    old: Document, new: Document, entries: list[ManagedFieldsEntry], what: type[Part], owner: Owner, now: str
) -> list[ManagedFieldsEntry]:
    """The entries after a PUT or PATCH by `owner` made `new` of `old`. A single empty entry ends the book-keeping."""
    if entries == [ManagedFieldsEntry()]:
        return []
    shares = read(entries)
    try:
        changed, removed = _difference(values_of(old, what), values_of(new, what))
    except BadRequest:  # elements that cannot be told apart are no reason to refuse an update: nothing is noted
        return write(shares)
    mine = (shares[owner].paths if owner in shares else frozenset()) - removed | changed
    shares = _without(shares, changed | removed, owner)
    return write(_with(shares, owner, mine, now))


def note(old: Object, new: Object, owner: Owner, now: str) -> None:
    """The same for two objects; `new` gets the entries. Raises BadRequest."""
    documents = codec.to_builtins(old), codec.to_builtins(new)
    new.metadata.managed_fields = updated(*documents, new.metadata.managed_fields, type(new), owner, now)


def applied(live: Document, config: Document, what: type[Part], owner: Owner, force: bool, now: str) -> Document:
    """`live` after `owner` applied `config`, with its entries. Raises Conflict unless `force`, BadRequest."""
    shape = of_type(what)
    meta = live.get("metadata", {})
    shares = read(msgspec.convert(meta.get("managedFields", []), list[ManagedFieldsEntry]))
    said, before = paths_of(config, what), _last_applied(live, what) if owner.manager == KUBECTL else frozenset()
    if not shares and meta.get("uid"):
        wanted = {name: member for name, member in live.items() if name != "status"}  # the status is its observer's
        shares[Owner(BEFORE, "Update")] = Share(meta.get("creationTimestamp", ""), paths_of(wanted, what))
    last = shares[owner].paths if owner in shares else before
    others: Paths = frozenset().union(*(share.paths for one, share in shares.items() if one != owner))
    merged = joined(live, config, shape)
    codec.from_builtins(merged, what)  # what is of another type than it should be is refused here
    merged = without(merged, last - said - (others - before), said | (others - before), shape)
    changed, removed = _difference(values_of(live, what), values_of(merged, what))
    conflicts = [(one, path) for one, share in shares.items() if one != owner
                 for path in sorted(share.paths & changed - before)]  # fmt: skip
    if conflicts and not force:
        raise _conflict(conflicts)
    shares = _with(_without(shares, changed | removed, owner), owner, said, now)
    return _dressed(merged, shares, config if before else None)


def _difference(old: Mapping[Path, Any], new: Mapping[Path, Any]) -> tuple[Paths, Paths]:
    """Fields that are new or have another value, and fields that are gone."""
    changed = frozenset(path for path, value in new.items() if path not in old or old[path] != value)
    return changed, frozenset(path for path in old if path not in new)


def _without(shares: Shares, paths: Paths, but: Owner) -> Shares:
    return {owner: share if owner == but else Share(share.time, share.paths - paths) for owner, share in shares.items()}


def _with(shares: Shares, owner: Owner, paths: Paths, now: str) -> Shares:
    """The owner's share; its time is that of its last change, so that doing the same again changes nothing."""
    if owner in shares and shares[owner].paths == paths:
        return shares
    return {**shares, owner: Share(now, paths)}


def _last_applied(live: Document, what: type[Part]) -> Paths:
    """What `kubectl apply` of the client-side kind set, by its own annotation."""
    text = live.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED)
    if text is None:
        return frozenset()
    try:
        return paths_of(msgspec.json.decode(text), what) | {("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")}
    except (msgspec.DecodeError, BadRequest, AttributeError):
        return frozenset()


def _dressed(document: Document, shares: Shares, last_applied: Document | None) -> Document:
    """The document with its entries, and with kubectl's annotation renewed where there was one."""
    meta = document["metadata"] | {"managedFields": msgspec.to_builtins(write(shares))}
    if last_applied is not None:
        text = msgspec.json.encode(last_applied, order="deterministic").decode() + "\n"
        meta["annotations"] = meta.get("annotations", {}) | {LAST_APPLIED: text}
    return document | {"metadata": meta}


def _conflict(conflicts: list[tuple[Owner, Path]]) -> Conflict:
    causes = [
        StatusCause(reason="FieldManagerConflict", message=f"conflict with {owner}", field=spoken(path))
        for owner, path in conflicts
    ]
    if len(conflicts) == 1:
        text = f"1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        owners = sorted({owner for owner, _ in conflicts}, key=str)
        lines: list[str] = []
        for owner in owners:
            lines += [f"conflicts with {owner}:", *(f"- {spoken(path)}" for one, path in conflicts if one == owner)]
        text = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    return Conflict(f"Apply failed with {text}", details=StatusDetails(causes=causes))
