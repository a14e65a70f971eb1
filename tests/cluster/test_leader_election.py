"""Two of a kind: one works, the other takes over, and never do both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from labkit.api.errors import Conflict, NotFound, ServerUnavailable
from labkit.api.types import Lease
from labkit.client.leader import Election, LostLease, Timing
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process

QUICK = Timing(duration=1.0, renew=0.6, retry=0.1)


class Worker:
    """A candidate, and when it worked."""

    def __init__(self, client: Client, who: str, working: set[str]) -> None:
        self.election = Election(client, "the-work", who, QUICK)
        self.who, self.working = who, working
        self.most = 0
        self.task = asyncio.create_task(self.election.lead(self._work))

    async def _work(self) -> None:
        self.working.add(self.who)
        try:
            while True:
                self.most = max(self.most, len(self.working))
                await asyncio.sleep(0.01)
        finally:
            self.working.discard(self.who)

    async def ended(self) -> BaseException | None:
        return (await asyncio.gather(self.task, return_exceptions=True))[0]


@asynccontextmanager
async def candidates(cluster: OneProcess, *names: str) -> AsyncIterator[list[Worker]]:
    working: set[str] = set()
    clients = [Client(cluster.server.base_url) for _ in names]
    workers = [Worker(client, name, working) for client, name in zip(clients, names, strict=True)]
    try:
        yield workers
        assert max(worker.most for worker in workers) <= 1
    finally:
        for worker in workers:
            worker.task.cancel()
            await worker.ended()
        for client in clients:
            await client.close()


async def leader_of(workers: list[Worker], besides: Worker | None = None) -> Worker:
    async def found() -> list[Worker]:
        return [worker for worker in workers if worker.who in worker.working and worker is not besides]

    return (await eventually(found, 20, expect="a leader"))[0]


@contextmanager
def cut_off(worker: Worker) -> Iterator[None]:
    """It cannot reach the server; what it does goes on."""

    async def refused(*_: object, **__: object) -> bytes:
        raise ServerUnavailable("cut off")

    client = worker.election.client
    before = client.raw
    client.raw = refused  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        client.raw = before  # type: ignore[method-assign]


async def test_one_of_three_works_and_says_so() -> None:
    async with one_process(nodes=[]) as cluster, candidates(cluster, "a", "b", "c") as workers:
        leader = await leader_of(workers)
        lease = await cluster.client.get(Lease, "the-work", "kube-system")
        assert (lease.spec.holder_identity, lease.spec.lease_transitions) == (leader.who, 0)
        acquired, renewed = lease.spec.acquire_time, lease.spec.renew_time

        async def again() -> bool:
            now = (await cluster.client.get(Lease, "the-work", "kube-system")).spec
            return now.acquire_time == acquired and now.renew_time != renewed

        await eventually(again, 10, expect="it renewed")
        assert leader.working == {leader.who}


async def test_a_leader_reads_its_lease_only_when_somebody_else_wrote_it() -> None:
    async with one_process(nodes=[]) as cluster, candidates(cluster, "a") as (only,):
        await leader_of([only])
        client, reads = only.election.client, 0
        get = client.get

        async def counted(*words: Any) -> Any:
            nonlocal reads
            reads += 1
            return await get(*words)

        client.get = counted  # type: ignore[method-assign]

        async def renewed() -> Lease:
            before = (await cluster.client.get(Lease, "the-work", "kube-system")).spec.renew_time

            async def newer() -> Lease | None:
                now = await cluster.client.get(Lease, "the-work", "kube-system")
                return now if now.spec.renew_time != before else None

            return await eventually(newer, 10, expect="it renewed")

        await renewed()
        assert reads == 0

        async def annotated() -> bool:
            noted = await renewed()
            noted.metadata.annotations = {"note": "not a leader's"}
            with contextlib.suppress(Conflict):
                return bool(await cluster.client.update(noted))
            return False

        await eventually(annotated, 10, expect="somebody else wrote it")
        kept = await renewed()
        assert (reads, kept.metadata.annotations) == (1, {"note": "not a leader's"})
        await cluster.client.delete(Lease, "the-work", "kube-system")
        assert await eventually(lambda: _there(cluster), 10, expect="it wrote its lease anew")
        assert only.who in only.working


async def _there(cluster: OneProcess) -> bool:
    with contextlib.suppress(NotFound):
        return (await cluster.client.get(Lease, "the-work", "kube-system")).spec.holder_identity == "a"
    return False


async def test_who_ends_well_gives_it_back_at_once() -> None:
    async with one_process(nodes=[]) as cluster, candidates(cluster, "a", "b") as workers:
        first = await leader_of(workers)
        first.task.cancel()
        assert isinstance(await first.ended(), asyncio.CancelledError)
        second = await leader_of(workers, first)
        lease = await cluster.client.get(Lease, "the-work", "kube-system")
        assert (lease.spec.holder_identity, lease.spec.lease_transitions) == (second.who, 1)


async def test_who_cannot_renew_stops_before_another_begins() -> None:
    async with one_process(nodes=[]) as cluster, candidates(cluster, "a", "b") as workers:
        first = await leader_of(workers)
        with cut_off(first):
            assert isinstance(await asyncio.wait_for(first.ended(), 20), LostLease)
            assert first.who not in first.working
            await leader_of(workers, first)


async def test_a_lease_that_somebody_takes_away_stops_the_leader() -> None:
    async with one_process(nodes=[]) as cluster, candidates(cluster, "a") as (only,):
        await leader_of([only])
        while True:
            lease = await cluster.client.get(Lease, "the-work", "kube-system")
            lease.spec.holder_identity = "thief"
            try:
                await cluster.client.update(lease)
                break
            except Exception:  # renewed in between
                continue
        assert isinstance(await asyncio.wait_for(only.ended(), 20), LostLease)
        assert (await cluster.client.get(Lease, "the-work", "kube-system")).spec.holder_identity == "thief"


async def test_a_bug_in_the_work_comes_out_and_the_lease_is_free() -> None:
    async with one_process(nodes=[]) as cluster:

        async def broken() -> None:
            raise KeyError("a bug")

        with pytest.raises(KeyError):
            await Election(cluster.client, "the-work", "a", QUICK).lead(broken)
        assert (await cluster.client.get(Lease, "the-work", "kube-system")).spec.holder_identity == ""
