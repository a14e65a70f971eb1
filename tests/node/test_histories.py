"""Compare and swap while everything breaks, short; `make chaos` plays it for long."""

import pytest

from tests.chaos.play import FAULTS, play, world

pytestmark = pytest.mark.timeout(180)


async def test_nothing_is_lost_under_kills_pauses_and_partitions() -> None:
    async with world() as where:
        outcomes = await play(where, list(FAULTS))
    assert outcomes["acknowledged"] > 50  # there was something to lose
    assert outcomes["refused"] > 10  # and somebody to refuse
