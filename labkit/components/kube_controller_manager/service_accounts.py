"""The service account controller: every namespace has an account called `default`, whose name its pods go by.

Source: pkg/serviceaccount/serviceaccounts_controller.go of Kubernetes 0.18.
"""

import asyncio

from labkit.api.errors import AlreadyExists, Forbidden, NotFound
from labkit.api.types import Namespace, ObjectMeta, ServiceAccount, key
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.trace import Tracer

DEFAULT = "default"


def lacks_default(namespace: Namespace | None, account: ServiceAccount | None) -> bool:
    """The decision: whether the namespace's default account is to be made."""
    return namespace is not None and namespace.metadata.deletion_timestamp is None and account is None


class ServiceAccounts:
    """Watches namespaces and accounts; `run()` works until it is cancelled."""

    def __init__(self, client: Client, accounts: Informer[ServiceAccount], namespaces: Informer[Namespace],
                 *, trace: Tracer) -> None:  # fmt: skip
        self.client = client
        self.trace = trace
        self.accounts = accounts
        self.namespaces = namespaces
        self.queue = WorkQueue()
        self.controller = Controller("service-account", self.queue, self.sync, trace=trace)
        accounts.on_change(self._account_changed)
        namespaces.on_change(self._namespace_changed)

    async def run(self) -> None:
        await asyncio.gather(self.accounts.synced(), self.namespaces.synced())
        await self.controller.run()

    async def sync(self, name: str) -> None:
        """Look, decide, act for one namespace."""
        if not lacks_default(self.namespaces.store.get(name), self.accounts.store.get(f"{name}/{DEFAULT}")):
            return
        account = ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=name))
        try:
            made = await self.client.create(account)
        except (AlreadyExists, Forbidden, NotFound):  # our informer is behind, or the namespace is ending
            return
        self.trace.decision("account made", made, cause=self.queue.cause(name), function=lacks_default)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None:
            self.queue.add(key(new), cause=f"namespaces/{key(new)} {'changed' if old else 'added'}")

    def _account_changed(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        if new is None and old is not None and old.metadata.name == DEFAULT:
            self.queue.add(old.metadata.namespace, cause=f"serviceaccounts/{key(old)} deleted")
