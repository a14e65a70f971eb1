"""Work is done once per key at a time, again when it changed meanwhile, later when it failed."""

import asyncio
import random

import pytest

from labkit.api.errors import Conflict, ServerUnavailable
from labkit.client.backoff import delay
from labkit.client.controller import Controller
from labkit.client.queue import WorkQueue
from labkit.testing.eventually import eventually


async def test_a_key_waits_once() -> None:
    queue = WorkQueue()
    queue.add("default/a", "first")
    queue.add("default/a", "second")
    queue.add("default/b")
    assert len(queue) == 2
    assert await queue.get() == "default/a"
    assert queue.cause("default/a") == "first"


async def test_a_key_in_work_comes_again_only_when_its_work_is_done() -> None:
    queue = WorkQueue()
    queue.add("a", "one")
    await queue.get()
    queue.add("a", "two")
    assert len(queue) == 0
    queue.done("a")
    assert (len(queue), await queue.get(), queue.cause("a")) == (1, "a", "two")
    queue.done("a")
    assert len(queue) == 0


async def test_get_waits_for_work() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await waiting == "a"


async def test_every_waiting_worker_gets_something() -> None:
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for name in "abc":
        queue.add(name)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


async def test_of_two_appointments_the_earlier_holds() -> None:
    queue = WorkQueue()
    queue.add_after("a", 30)
    queue.add_after("a", 0.01, "soon")
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    assert queue.cause("a") == "soon"


async def test_failures_grow_the_delay_until_forgotten() -> None:
    queue = WorkQueue(first=1, most=8)
    waits = [queue.add_rate_limited("a") for _ in range(6)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, (1, 2, 4, 8, 8, 8), strict=True))
    queue.forget("a")
    assert queue.add_rate_limited("a") <= 1
    queue.close()


def test_delays_are_random_in_their_second_half() -> None:
    rng = random.Random(1)
    some = [delay(3, first=1, most=60, rng=rng) for _ in range(100)]
    assert min(some) >= 2
    assert max(some) <= 4
    assert len(set(some)) > 90
    assert delay(10_000) <= 5


async def test_expected_failures_are_tried_again_and_cost_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    tries: list[str] = []

    async def sync(key: str) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise Conflict("somebody was faster") if len(tries) == 1 else ServerUnavailable("away")

    queue = WorkQueue(first=0.01, most=0.02)
    queue.add("default/a")
    task = asyncio.create_task(Controller("test", queue, sync).run())
    await eventually(lambda: len(tries) == 3)
    task.cancel()
    await asyncio.wait([task])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "somebody was faster" in lines[0]


async def test_a_bug_ends_the_controller() -> None:
    async def sync(key: str) -> None:
        raise KeyError(key)

    queue = WorkQueue()
    queue.add("a")
    with pytest.raises(ExceptionGroup) as caught:
        await Controller("test", queue, sync, workers=3).run()
    assert caught.group_contains(KeyError)


async def test_one_key_is_never_in_two_hands() -> None:
    in_work: set[str] = set()
    done = 0

    async def sync(key: str) -> None:
        nonlocal done
        assert key not in in_work
        in_work.add(key)
        await asyncio.sleep(0.001)
        in_work.discard(key)
        done += 1
        if done < 60:
            queue.add(random.choice("ab"))
            queue.add(random.choice("ab"))

    queue = WorkQueue()
    queue.add("a")
    task = asyncio.create_task(Controller("test", queue, sync, workers=8).run())
    await eventually(lambda: done >= 60 and not in_work)
    task.cancel()
    await asyncio.wait([task])
