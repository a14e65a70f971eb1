"""The token controller: every service account has a secret with a signed token, which says who its pods are.

    ServiceAccount team/default  --secrets-->  Secret team/default-token-x7f2k
                                               type kubernetes.io/service-account-token
                                               annotations ...service-account.name, ...uid
                                               data token, ca.crt, namespace

The secret goes with its account; one that somebody makes by hand for an account is filled in; one that is deleted is
no longer referred to, its token is worth nothing, and the account gets a new one.
Source: pkg/serviceaccount/tokens_controller.go of Kubernetes 1.0.
"""

import asyncio
import contextlib
import secrets as chance
import string
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from labkit.api import service_accounts as words
from labkit.api import token_signing
from labkit.api.errors import Conflict, Forbidden, NotFound
from labkit.api.types import ObjectMeta, ObjectReference, Secret, ServiceAccount, copy, key
from labkit.client.controller import Controller
from labkit.client.informer import Informer
from labkit.client.own_writes import OwnWrites
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.trace import Tracer

_SUFFIX = string.ascii_lowercase + string.digits

Sign = Callable[[ServiceAccount, str], str]
"""(account, name of the secret) -> token."""


def signer(pem: bytes) -> Sign:
    """Signs with this private key. Raises ValueError for one that cannot be used."""
    sign = token_signing.signer(pem)
    return lambda account, secret: sign(words.claims(account, secret))


# -- the decision --------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What to do for one account: remove secrets, fill secrets in, make one, change what the account refers to."""

    remove: Sequence[Secret] = ()
    fill: Sequence[Secret] = ()
    make: bool = False
    references: Sequence[str] | None = None  # None: as they are


def plan(account: ServiceAccount | None, secrets: Iterable[Secret]) -> Plan:
    """secrets: of the account's namespace, those that name it and those that it refers to."""
    there = {secret.metadata.name: secret for secret in secrets}
    if account is None:
        return Plan(remove=[secret for secret in there.values() if secret.type == words.SECRET_TYPE])
    tokens = {name: secret for name, secret in there.items() if words.is_token_of(secret, account)}
    of_the_past = [secret for name, secret in there.items() if name not in tokens and _names(secret, account)]
    fill = [secret for secret in tokens.values() if not is_filled(secret)]
    had = [reference.name for reference in account.secrets]
    kept = [name for name in had if name in there or not name.startswith(f"{account.metadata.name}-token-")]
    if not any(name in tokens for name in kept):
        ours = sorted(name for name in tokens if name.startswith(f"{account.metadata.name}-token-"))
        kept += ours[:1]
    make = not any(name in tokens for name in kept)
    return Plan(of_the_past, fill, make, kept if kept != had else None)


def _names(secret: Secret, account: ServiceAccount) -> bool:
    """The secret's account has this name, though it may be another one of the past."""
    return _account_of(secret) == account.metadata.name


def is_filled(secret: Secret) -> bool:
    return bool(secret.data.get(words.TOKEN_KEY)) and words.UID_ANNOTATION in secret.metadata.annotations


def filled(secret: Secret, account: ServiceAccount, sign: Sign, ca: bytes) -> Secret:
    """The secret with the account's token."""
    full, meta = copy(secret), account.metadata
    full.metadata.annotations |= {words.NAME_ANNOTATION: meta.name, words.UID_ANNOTATION: meta.uid}
    full.data[words.TOKEN_KEY] = sign(account, secret.metadata.name).encode()
    full.data[words.NAMESPACE_KEY] = meta.namespace.encode()
    if ca:
        full.data[words.CA_KEY] = ca
    return full


def new_secret(account: ServiceAccount) -> Secret:
    """An empty one, of a new name."""
    name = f"{account.metadata.name}-token-" + "".join(chance.choice(_SUFFIX) for _ in range(5))
    return Secret(metadata=ObjectMeta(name=name, namespace=account.metadata.namespace), type=words.SECRET_TYPE)


# -- the loop ------------------------------------------------------------------------------------------------------


class Tokens:
    """Watches accounts and secrets; `run()` works until it is cancelled. ca: the cluster's CA, for pods to trust."""

    def __init__(
        self, client: Client, accounts: Informer[ServiceAccount], sign: Sign, ca: bytes = b"", *, trace: Tracer
    ) -> None:
        self.client = client
        self.trace = trace
        self.accounts = accounts
        self.secrets = Informer(client, Secret, trace=trace)
        self.queue = WorkQueue()
        self.controller = Controller("tokens", self.queue, self.sync, workers=2, trace=trace)
        self._sign, self._ca = sign, ca
        self._accounts = OwnWrites(accounts)
        self._newest_secret: dict[str, str] = {}  # account -> resourceVersion of what we wrote for it last
        accounts.on_change(self._account_changed)
        self.secrets.on_change(self._secret_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.secrets.run())
            await asyncio.gather(self.secrets.synced(), self.accounts.synced())
            group.create_task(self.controller.run())

    async def sync(self, name: str) -> None:
        """Look, decide, act for one account."""
        if not self.secrets.has_seen(self._newest_secret.get(name, "")):
            return  # the secret that we wrote comes yet, and with it this key
        account = self._accounts.newest(name) or await self._look_again(name)
        decided = plan(account, self._secrets_of(name, account))
        for secret in decided.remove:
            await self._remove(name, secret)
        if account is None:
            self._newest_secret.pop(name, None)
            return
        with contextlib.suppress(Conflict, Forbidden, NotFound):  # it changed or ends: the informers tell
            for secret in decided.fill:
                await self._write(name, account, secret)
            references = decided.references
            if decided.make:
                made = await self._write(name, account, new_secret(account))
                references = [*(references or [old.name for old in account.secrets]), made.metadata.name]
            if references is not None:
                await self._refer(account, references)

    async def _look_again(self, name: str) -> ServiceAccount | None:
        """The secrets' informer may be ahead of the accounts'; nothing is removed for that."""
        namespace, _, account = name.partition("/")
        try:
            return await self.client.get(ServiceAccount, account, namespace)
        except NotFound:
            return None

    def _secrets_of(self, name: str, account: ServiceAccount | None) -> list[Secret]:
        namespace, _, account_name = name.partition("/")
        referred = {reference.name for reference in account.secrets} if account else set()
        return [
            secret
            for secret in self.secrets.store.values()
            if secret.metadata.namespace == namespace
            and (secret.metadata.name in referred or _account_of(secret) == account_name)
        ]

    async def _write(self, name: str, account: ServiceAccount, secret: Secret) -> Secret:
        full = filled(secret, account, self._sign, self._ca)
        is_new = not secret.metadata.uid
        stored = await (self.client.create(full) if is_new else self.client.update(full))
        self._newest_secret[name] = stored.metadata.resource_version
        self.trace.decision("token signed", stored, cause=self.queue.cause(name), function=plan)
        return stored

    async def _refer(self, account: ServiceAccount, names: Sequence[str]) -> None:
        changed = copy(account)
        kept = {reference.name: reference for reference in account.secrets}
        changed.secrets = [kept.get(name) or ObjectReference(name=name) for name in names]
        self._accounts.wrote(await self.client.update(changed))

    async def _remove(self, name: str, secret: Secret) -> None:
        meta = secret.metadata
        try:
            await self.client.delete(Secret, meta.name, meta.namespace, uid=meta.uid)
        except (Conflict, NotFound):
            return
        self.trace.decision("token removed", secret, cause=self.queue.cause(name), function=plan)

    # -- what the informers tell -----------------------------------------------------------------------------------

    def _account_changed(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        account = new or old
        assert account is not None
        word = "added" if old is None else "deleted" if new is None else "changed"
        self.queue.add(key(account), cause=f"serviceaccounts/{key(account)} {word}")

    def _secret_changed(self, old: Secret | None, new: Secret | None) -> None:
        secret = new or old
        assert secret is not None
        if account := _account_of(secret):
            word = "added" if old is None else "deleted" if new is None else "changed"
            self.queue.add(f"{secret.metadata.namespace}/{account}", cause=f"secrets/{key(secret)} {word}")


def _account_of(secret: Secret) -> str:
    """The name of the account that a token secret names; "" for any other secret."""
    return secret.metadata.annotations.get(words.NAME_ANNOTATION, "") if secret.type == words.SECRET_TYPE else ""
