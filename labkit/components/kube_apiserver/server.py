"""The server, put together: storage, cache, registries, handlers, HTTP, and the loops beside them.

start: storage -> cache filled -> ranges repaired -> own service there -> listening
stop:  watches ended -> requests finished -> loops cancelled -> storage closed
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from labkit import tls
from labkit.api.kinds import KINDS
from labkit.api.strategies import strategy_of
from labkit.components.kube_apiserver import account_tokens, authn, authz, kubelets, tokens
from labkit.components.kube_apiserver.admission.chain import CacheView, Chain
from labkit.components.kube_apiserver.allocator import ServiceAllocator
from labkit.components.kube_apiserver.audit import MEGABYTE, AuditLog
from labkit.components.kube_apiserver.authorization import Authorization
from labkit.components.kube_apiserver.component_statuses import checks
from labkit.components.kube_apiserver.computed import Computed
from labkit.components.kube_apiserver.dispatch import Dispatch
from labkit.components.kube_apiserver.http import HttpServer
from labkit.components.kube_apiserver.messages import Answer, Request, Stream, Tunnel, User
from labkit.components.kube_apiserver.metrics import Metrics
from labkit.components.kube_apiserver.observing import Observer
from labkit.components.kube_apiserver.own_service import Own, OwnService
from labkit.components.kube_apiserver.pages import Pages
from labkit.components.kube_apiserver.ranges import Addresses, Ports
from labkit.components.kube_apiserver.resources import Resources
from labkit.components.kube_apiserver.settings import Settings, SettingsError
from labkit.components.kube_apiserver.slices import Slices
from labkit.components.kube_apiserver.timed_storage import TimedStorage
from labkit.components.kube_apiserver.token_requests import issuer_of
from labkit.components.kube_apiserver.token_reviews import TokenReviewer
from labkit.components.kube_apiserver.usage import Usage
from labkit.storage.cache import REACH, Cache
from labkit.storage.compaction import compact_for_ever
from labkit.storage.entry import Codec
from labkit.storage.memory import Memory
from labkit.storage.protocol import Storage
from labkit.storage.registry import Registry
from labkit.trace import Tracer

TESTER = User("test", (authz.MASTERS,))


class Server:
    """One API server. `insecure`: plain HTTP on which everybody is a master; only `start_in_process` says so."""

    def __init__(self, storage: Storage, settings: Settings, trace: Tracer, *, insecure: bool = False) -> None:
        self.storage = storage
        self.base_url = ""
        self.port = 0
        self._settings = settings
        self._trace = trace
        self._insecure = insecure
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics, self._audit = Metrics(), _audit_log(settings)
        self._store = TimedStorage(storage, self._metrics.store)
        self._cache = Cache(self._store, [Codec(kind) for kind in KINDS.values()], trace)
        addresses = Addresses(settings.service_cluster_ip_range)
        self._service_ip = addresses.name(0)
        self._allocator = ServiceAllocator(self._store, addresses, Ports(settings.service_node_port_range), trace)
        self._registries = self._make_registries()
        authorization, known = Authorization(settings, self._cache), _tokens(settings, self._cache)
        self._kubelets = kubelets.Kubelets(settings.kubelet_port, _kubelet_context(settings))
        resources = Resources(self._cache, self._registries, Chain(settings.admission_plugins, self._cache))
        usage = Usage(self._kubelets, self._cache, trace)
        pages = Pages(self._store, self._metrics)
        reviewer = TokenReviewer(known, account_tokens.expected_of(settings).audiences)
        computed = Computed(authorization, checks(self._store), usage, Slices(self._cache), reviewer)
        self._dispatch = Dispatch(resources, pages, computed, self._kubelets, authorization, issuer_of(settings))
        self._observer = Observer(self._metrics, self._audit, trace)
        self._http = HttpServer(self.handle, self._observer.refused, trace, known, TESTER if insecure else None)

    async def handle(self, request: Request) -> Answer | Stream | Tunnel:
        """The answer to any request."""
        return await self._observer.observed(self._dispatch.handle, request)

    def _make_registries(self) -> dict[str, Registry]:
        special = {"services": {"companion": self._allocator}, "events": {"ttl": self._settings.event_ttl}}
        return {
            name: Registry(
                kind, strategy_of(kind), self._store, self._cache, self._trace,
                **special.get(name, {}),  # type: ignore[arg-type]
            )
            for name, kind in KINDS.items()
        }  # fmt: skip

    async def start(self) -> None:
        """Listen; raises StorageError (the store is away), OSError (the address is taken)."""
        settings = self._settings
        await self._cache.load(REACH)
        self._tasks.append(asyncio.create_task(self._cache.run(), name="watch cache"))
        await self._cache.current()
        await self._allocator.repair()
        context = None if self._insecure else _server_context(settings)
        self.port = await self._http.start(settings.bind_address, settings.secure_port, context)
        self.base_url = f"{'http' if self._insecure else 'https'}://{settings.bind_address}:{self.port}"
        own = Own(settings.advertise_address, self.port, self._service_ip, settings.apiserver_count)
        own_service = OwnService(self._registries, own, self._trace)
        await own_service.sync()
        self._tasks.append(asyncio.create_task(own_service.run(), name="own service"))
        if settings.etcd_compaction_interval:
            compaction = compact_for_ever(self._store, self._trace, settings.etcd_compaction_interval)
            self._tasks.append(asyncio.create_task(compaction, name="compaction"))
        if self._audit is not None:
            self._tasks.append(asyncio.create_task(self._observer.flush(), name="audit log"))
        self._trace.log(f"serving on {self.base_url}, the cache is at revision {self._cache.revision}")

    async def stop(self) -> None:
        await self._http.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._kubelets.close()
        if self._audit is not None:
            self._audit.close()

    async def wait(self) -> None:
        """For ever; a loop that ends by a bug ends the server with its traceback."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _server_context(settings: Settings) -> ssl.SSLContext:
    with _reading("--tls-cert-file, --tls-private-key-file and --client-ca-file"):
        context = authn.server_context(
            settings.tls_cert_file, settings.tls_private_key_file, settings.client_ca_file, settings.tls_client_auth
        )
        tls.restrict(context, settings.tls_min_version, settings.tls_cipher_suites)
        return context


def _tokens(settings: Settings, cache: Cache) -> list[tokens.Authenticate]:
    """Whom bearer tokens may be asked."""
    known: list[tokens.Authenticate] = []
    expected = account_tokens.expected_of(settings)
    try:
        if settings.token_auth_file:
            known.append(tokens.of_file(tokens.read_tokens(Path(settings.token_auth_file)), expected.audiences))
        if settings.service_account_key_file:
            verify = account_tokens.verifier(Path(settings.service_account_key_file).read_bytes())
            known.append(account_tokens.of_service_accounts(verify, CacheView(cache), expected))
    except tokens.TokenError as error:
        raise SettingsError(str(error)) from error
    return known


def _audit_log(settings: Settings) -> AuditLog | None:
    if not settings.audit_log_path:
        return None
    size = settings.audit_log_maxsize * MEGABYTE
    try:
        return AuditLog(Path(settings.audit_log_path), size, settings.audit_log_maxbackup, settings.audit_log_maxage)
    except OSError as error:
        raise SettingsError(f"--audit-log-path: {error}: expected a file in a folder that can be written") from error


def _kubelet_context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.kubelet_client_certificate:
        return None
    with _reading("--kubelet-certificate-authority, --kubelet-client-certificate and --kubelet-client-key"):
        context = ssl.create_default_context(cafile=settings.kubelet_certificate_authority)
        context.load_cert_chain(settings.kubelet_client_certificate, settings.kubelet_client_key)
        return context


@contextlib.contextmanager
def _reading(flags: str) -> Iterator[None]:
    """PEM files that cannot be used are a matter of flags."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(f"{flags}: {error}: expected PEM files, the key matching its certificate") from error


async def start_in_process(
    storage: Storage | None = None, *, service_cluster_ip_range: str = "10.0.0.0/16",
    service_node_port_range: str = "30000-32767", advertise_address: str = "127.0.0.1", kubelet_port: int = 10250,
    trace: Tracer | None = None, port: int = 0,
) -> Server:  # fmt: skip
    """For tests only: plain HTTP on a loopback port (0: a free one), and every request may do everything.

    When it returns, `server.base_url` answers. `storage` None: a Memory of its own.
    """
    settings = Settings(
        service_cluster_ip_range=service_cluster_ip_range, service_node_port_range=service_node_port_range,
        advertise_address=advertise_address, kubelet_port=kubelet_port, secure_port=port,
    )  # fmt: skip
    server = Server(storage or Memory(), settings, trace or Tracer("kube-apiserver"), insecure=True)
    try:
        await server.start()
    except BaseException:
        await server.stop()
        raise
    return server
