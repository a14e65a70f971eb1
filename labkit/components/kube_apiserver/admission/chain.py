"""The chain: every plug-in in its turn, each with what the one before made of the object."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labkit.api.kinds import kind_of
from labkit.api.types import Namespace, ResourceQuota
from labkit.components.kube_apiserver.admission import (
    always,
    deny_service_external_ips,
    limit_ranger,
    namespace_exists,
    namespace_lifecycle,
    node_restriction,
    resource_quota,
    service_account,
)
from labkit.components.kube_apiserver.admission.plugin import Asked, NotYet, Plugin, T, View
from labkit.storage.cache import Cache
from labkit.storage.entry import Entry

PLUGINS: dict[str, Plugin] = {
    "AlwaysAdmit": always.admit,
    "AlwaysDeny": always.deny,
    "DenyServiceExternalIPs": deny_service_external_ips.admit,
    "LimitRanger": limit_ranger.admit,
    "NamespaceExists": namespace_exists.admit,
    "NamespaceLifecycle": namespace_lifecycle.admit,
    "NodeRestriction": node_restriction.admit,
    "ResourceQuota": resource_quota.admit,
    "ServiceAccount": service_account.admit,
}
_LOOK_AT_NAMESPACES = {"NamespaceExists", "NamespaceLifecycle"}
ASK_AGAIN_SECONDS = 0.05


class Admitted(NamedTuple):
    """The object as it may be stored, provided that these keys still have these revisions (0: are absent) then."""

    obj: Any
    relies_on: Mapping[str, int]


class CacheView:
    """The watch cache as the plug-ins see it. Its objects are shared: not to be changed."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        row = kind_of(kind)
        entry = self._cache.shelf(row.storage_prefix).entries.get(f"{namespace}/{name}" if row.namespaced else name)
        return entry.seen() if entry else None

    def list(self, kind: type[T], namespace: str) -> list[T]:
        entries: list[Entry] = self._cache.shelf(kind_of(kind).storage_prefix).within(namespace)
        return [entry.seen() for entry in entries]


class Chain:
    """The plug-ins of these names, in this order; KeyError for a name that is none of PLUGINS."""

    def __init__(self, names: Sequence[str], cache: Cache) -> None:
        self._plugins = [PLUGINS[name] for name in names]
        self._uncharged = [plugin for plugin in self._plugins if plugin is not resource_quota.admit]
        self._charges = "ResourceQuota" in names
        self._relies_on_namespaces = not _LOOK_AT_NAMESPACES.isdisjoint(names)
        self._cache = cache
        self._view: View = CacheView(cache)

    def changed(self, asked: Asked, *, charged: bool = False) -> Any:
        """What the plug-ins make of the object now. Raises Forbidden.

        `charged`: it has its room in the quotas, which must not be looked for once more.
        """
        for plugin in self._uncharged if charged else self._plugins:
            obj = plugin(asked, self._view)
            if obj is not asked.obj:
                asked = asked._replace(obj=obj)
        return asked.obj

    async def admit(self, asked: Asked, *, charged: bool = False) -> Admitted:
        """The same; a plug-in that misses something asks again when the cache is current, and while it has patience."""
        loop = asyncio.get_running_loop()
        started, looked = loop.time(), False
        while True:
            try:
                return Admitted(self.changed(asked, charged=charged), self._relied_on(asked))
            except NotYet as error:
                if looked and loop.time() - started >= error.patience:
                    raise
            await (asyncio.sleep(ASK_AGAIN_SECONDS) if looked else self._cache.current())
            looked = True

    def _relied_on(self, asked: Asked) -> Mapping[str, int]:
        """The namespace as the plug-ins saw it: another server may have begun to delete it, or finished, meanwhile."""
        if not self._relies_on_namespaces or not asked.kind.namespaced:
            return {}
        prefix = kind_of(Namespace).storage_prefix
        entry = self._cache.shelf(prefix).entries.get(asked.namespace)
        return {f"{prefix}/{asked.namespace}": entry.revision if entry else 0}

    def quotas_for(self, asked: Asked) -> list[str]:
        """The names of the quotas that the new object is to be charged to."""
        if not self._charges:
            return []
        quotas = self._view.list(ResourceQuota, asked.namespace)
        return [quota.metadata.name for quota in quotas if resource_quota.charged(quota, asked) != quota]
