import asyncio

from labkit.components.kube_apiserver.busy_poll import SECONDS, BusyPoll


class Clock:
    """Goes on by a fifth of the time to stay awake whenever it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.reads * SECONDS / 5


async def rounds(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_looks_again_until_the_time_is_over() -> None:
    busy = BusyPoll(clock := Clock())
    busy.begun()
    busy.ended()
    await rounds()
    assert clock.reads == 6


async def test_nothing_is_looked_for_while_a_request_is_under_way() -> None:
    busy = BusyPoll(clock := Clock())
    busy.begun()
    busy.begun()
    busy.ended()
    await rounds()
    assert clock.reads == 0
    busy.ended()
    busy.begun()
    await rounds()
    assert clock.reads == 1


async def test_requests_that_follow_each_other_share_one_look_a_round() -> None:
    busy = BusyPoll(clock := Clock())
    for _ in range(3):
        busy.begun()
        busy.ended()
    await rounds()
    assert clock.reads == 3 + 5
