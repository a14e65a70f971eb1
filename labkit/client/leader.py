"""Leader election: of several that could do the same work, one does it, and another takes over when it falls silent.

    one      lease: mine ... mine ... mine ... (killed)
    other    wait   wait   wait   wait   wait  |-- duration of silence --|  mine ... mine ...

Who leads stands in a Lease (kube-system/kube-scheduler) and is renewed every RETRY. A follower takes it when the record
has not changed for its whole duration, by the follower's own clock: clocks need not agree. A leader that could not
renew it for a while (RENEW, shorter than the duration) stops before anybody else begins; so two never work at once.
Every write is a compare-and-swap: of two who want it one loses. At a clean end it is given back at once.
Source: client-go's tools/leaderelection.
"""

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NamedTuple

from labkit.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from labkit.api.types import Lease, LeaseSpec, ObjectMeta, copy
from labkit.client.rest import Client
from labkit.trace import Tracer

NAMESPACE = "kube-system"


class Timing(NamedTuple):
    """Seconds: how long a lease holds, when a leader gives up renewing it, and how often either tries."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class LostLease(Exception):
    """Somebody else may lead now: whoever worked under the lease has been stopped."""


def identity() -> str:
    """Somebody who is like nobody else: `master_6f1c...`."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


# -- the decision --------------------------------------------------------------------------------------------------


def may_take(lease: Lease | None, who: str, silent: float) -> bool:
    """Whether `who` may write himself into the lease, which has not changed for `silent` seconds."""
    if lease is None or not lease.spec.holder_identity or lease.spec.holder_identity == who:
        return True
    return silent >= (lease.spec.lease_duration_seconds or 0)


def taken(lease: Lease, who: str, duration: float, now: str) -> Lease:
    """The lease as it is when `who` has it; he keeps acquireTime when it was his already."""
    mine, spec = copy(lease), lease.spec
    changes = spec.holder_identity != who
    mine.spec = LeaseSpec(
        holder_identity=who,
        lease_duration_seconds=max(1, round(duration)),
        acquire_time=now if changes else spec.acquire_time,
        renew_time=now,
        lease_transitions=(spec.lease_transitions or 0) + (changes and lease.metadata.uid != ""),
    )
    return mine


# -- the loop ------------------------------------------------------------------------------------------------------


class Election:
    """One candidate for the lease `name`. `leads` says whether it works right now."""

    def __init__(
        self, client: Client, name: str, who: str = "", timing: Timing | None = None, *, trace: Tracer | None = None
    ) -> None:
        self.client = client
        self.name = name
        self.who = who or identity()
        self.timing = timing or Timing()
        self.trace = trace or Tracer(name)
        self.leads = False
        self._seen: Lease | None = None
        self._seen_at = 0.0

    async def lead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for the lease, then run `work()` until it ends, is cancelled, or the lease is lost (LostLease)."""
        while not await self._try():  # noqa: ASYNC110  what is waited for happens elsewhere
            await asyncio.sleep(self.timing.retry)
        self.leads = True
        self.trace.log("leads", lease=f"{NAMESPACE}/{self.name}", holder=self.who)
        doing = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((doing, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.leads = False
            for task in (doing, renewing):
                task.cancel()
            ended = await asyncio.gather(doing, renewing, return_exceptions=True)
            lost = isinstance(ended[1], LostLease)
            if not lost:
                await self._give_back()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    async def _renew(self) -> None:
        """Until RENEW seconds have passed without success."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self.timing.retry)
            if await self._try(self.timing.renew - (time.monotonic() - renewed)):
                renewed = time.monotonic()
            elif time.monotonic() - renewed >= self.timing.renew or not self._is_mine():
                raise LostLease(f"{self.name}: the lease of {self.who} could not be renewed")

    def _is_mine(self) -> bool:
        return self._seen is not None and self._seen.spec.holder_identity == self.who

    async def _try(self, seconds: float | None = None) -> bool:
        """Take or renew the lease; False when it is somebody else's or the server cannot be asked."""
        try:
            async with asyncio.timeout(self.timing.renew if seconds is None else max(seconds, 0.01)):
                if self.leads and await self._renew_unseen():
                    return True
                lease = await self._look()
                if not may_take(lease, self.who, time.monotonic() - self._seen_at):
                    return False
                self._saw(await self._write(lease))
                return True
        except (Conflict, AlreadyExists):
            return False
        except (ApiError, TimeoutError) as exc:
            self.trace.log("cannot ask for the lease", level="warning", lease=self.name, error=str(exc) or "no answer")
            return False

    async def _renew_unseen(self) -> bool:
        """The leader's last write is the newest version unless somebody else wrote: then this fails, and he looks."""
        with contextlib.suppress(Conflict, NotFound):
            self._saw(await self._write(self._seen))
            return True
        return False

    async def _look(self) -> Lease | None:
        try:
            lease = await self.client.get(Lease, self.name, NAMESPACE)
        except NotFound:
            return None
        if self._seen is None or lease.metadata.resource_version != self._seen.metadata.resource_version:
            self._saw(lease)
        return lease

    def _saw(self, lease: Lease) -> None:
        self._seen, self._seen_at = lease, time.monotonic()

    async def _write(self, lease: Lease | None) -> Lease:
        fresh = Lease(metadata=ObjectMeta(name=self.name, namespace=NAMESPACE))
        wanted = taken(lease or fresh, self.who, self.timing.duration, _now())
        return await (self.client.update(wanted) if lease else self.client.create(wanted))

    async def _give_back(self) -> None:
        """So that the next one need not wait; who cannot be told waits."""
        if self._seen is None or not self._is_mine():
            return
        free = copy(self._seen)
        free.spec.holder_identity, free.spec.lease_duration_seconds, free.spec.renew_time = "", 1, _now()
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self.client.update(free)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
