"""`--authorization-mode=Node,ABAC`: who is allowed by any of the modes may go on; members of system:masters always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.api.kinds import KINDS
from labkit.api.types import Pod
from labkit.components.kube_apiserver import authz, node_authorizer
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.cache import Cache

_POD = ("pods", "pods/status")
Mode = Callable[[Attributes], bool]


class Authorization:
    """The modes of the flag (`names`) and the policy file's `rules`.

    Raises authz.PolicyError for a policy file that cannot be used.
    """

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self._cache = cache
        self._pods = cache.shelf(KINDS["pods"].storage_prefix)
        self.names = settings.authorization_modes
        self.rules: Sequence[authz.Rule] = ()
        self._modes = [self._mode(name, settings) for name in self.names]

    def _mode(self, name: str, settings: Settings) -> Mode:
        if name == "ABAC":
            self.rules = authz.read_policy(Path(settings.authorization_policy_file))
            return lambda wish: authz.allowed(self.rules, wish)
        if name == "Node":
            return lambda wish: node_authorizer.allows(wish, self._pods_of)
        return lambda wish: name == "AlwaysAllow"

    def _pods_of(self, node: str, namespace: str, name: str) -> Sequence[Pod]:
        one = self._pods.entries.get(f"{namespace}/{name}")
        there = self._pods.within(namespace) if not name else [one] if one else []
        return [entry.seen() for entry in there if entry.fields.get("spec.nodeName") == node]

    async def allows(self, wish: Attributes) -> bool:
        """The decision. A node is only refused when the cache has heard of all that is bound to it."""
        if self._decide(wish):
            return True
        if "Node" not in self.names or not wish.name or not node_authorizer.node_of(wish):
            return False
        await self._cache.current()
        # Of a pod that is gone its kubelet is to hear 404, not that it was not its own.
        gone = wish.resource in _POD and f"{wish.namespace}/{wish.name}" not in self._pods.entries
        return gone or self._decide(wish)

    def _decide(self, wish: Attributes) -> bool:
        return authz.is_for_all(wish) or any(mode(wish) for mode in self._modes)

    async def check(self, wish: Attributes) -> None:
        """Raises Forbidden."""
        if not await self.allows(wish):
            raise authz.forbidden(wish)
