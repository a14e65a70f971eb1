"""From method and path to what is meant.

/api/v1/pods                              list or watch, over all namespaces
/api/v1/namespaces/NS/pods[/NAME[/SUB]]   and the same under /api/v1/watch/...
/api/v1/nodes[/NAME[/SUB]]                a kind outside of namespaces
/api/v1/namespaces[/NAME[/SUB]]           namespaces themselves
/api/v1/namespaces/NS/bindings            POST only
/api/v1/.../NAME/proxy/ANY/PATH           a kind with something to proxy to
/apis/coordination.k8s.io/v1/...          the same for a kind of another group
anything else                             discovery, health, or nothing
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from labkit.api.kinds import KINDS, Kind

CONNECTING = frozenset(("exec", "attach", "portforward", "proxy"))
NAMED_ONLY = CONNECTING | {"token"}
"""What a policy must name itself: it leads further than the object that it hangs below."""
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_PROXY = re.compile("/proxy(?=/|$)")
_NAMESPACE_PARTS = frozenset(("status", "finalize"))


class Route(NamedTuple):
    """What a request is about. `resource` is the plural ("pods"); `kind` is None only for bindings."""

    resource: str
    kind: Kind | None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    rest: str = ""  # of a proxy: the path behind it, as it was sent

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@lru_cache(maxsize=1024)  # 10 us the first time, nothing for all who ask the same again
def route(path: str) -> Route | None:
    """The object or collection that a path under /api/v1 names; None when there is no such thing."""
    for mark in _PROXY.finditer(path):
        owner = route(path[: mark.start()])
        if owner is not None and owner.name and not owner.subresource and owner.kind is not None:
            return _known(owner._replace(subresource="proxy", rest=path[mark.end() :]))
    parts = [unquote(part) for part in path.split("/")[1:]]
    group, parts = _group_of(parts)
    watch = parts[:1] == ["watch"]
    if watch:
        parts = parts[1:]
    if parts and not parts[-1]:  # a slash at the end
        parts.pop()
    if not all(part and part.isprintable() and "/" not in part and part not in (".", "..") for part in parts):
        return None
    found = _route(parts, watch)
    if found is None or (watch and found.subresource) or (found.kind.group if found.kind else "") != group:
        return None
    return found


def _group_of(parts: list[str]) -> tuple[str, list[str]]:
    """("", what follows /api/v1), ("coordination.k8s.io", what follows it and v1), or nothing that could follow."""
    if parts[:2] == ["api", "v1"]:
        return "", parts[2:]
    if parts[:1] == ["apis"] and parts[2:3] == ["v1"]:
        return parts[1], parts[3:]
    return "", []


def _route(parts: list[str], watch: bool) -> Route | None:
    if len(parts) >= 3 and parts[0] == "namespaces" and not (len(parts) == 3 and parts[2] in _NAMESPACE_PARTS):
        namespace, resource, *rest = parts[1:]
        return _within(namespace, resource, rest, watch)
    if not parts or len(parts) > 3 or (kind := KINDS.get(parts[0])) is None:
        return None
    name, subresource = [*parts[1:], "", ""][:2]
    if kind.namespaced and name:
        return None
    return _known(Route(kind.resource, kind, "", name, subresource, watch))


def _within(namespace: str, resource: str, rest: list[str], watch: bool) -> Route | None:
    if resource == "bindings" and not rest and not watch:
        return Route("bindings", None, namespace)
    kind = KINDS.get(resource)
    if kind is None or not kind.namespaced or len(rest) > 2:
        return None
    name, subresource = [*rest, "", ""][:2]
    return _known(Route(kind.resource, kind, namespace, name, subresource, watch))


def _known(found: Route) -> Route | None:
    """A subresource must be one that the kind has."""
    if found.subresource and found.kind and found.subresource not in found.kind.subresources:
        return None
    return found


def verb_of(method: str, found: Route, watching: bool) -> str:
    """get, list, watch, create, update, patch, delete, deletecollection: the words of policies and audit lines."""
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and found.subresource in CONNECTING:
        return "create"  # what WebSocket has to do with GET is no reading
    if found.name:
        return "watch" if verb == "get" and (watching or found.watch) else verb
    if verb == "get":
        return "watch" if watching or found.watch else "list"
    return "deletecollection" if verb == "delete" else verb
