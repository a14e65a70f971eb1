"""Watches of random histories on Memory; tests/node plays them on a real etcd."""

import asyncio

from hypothesis import given, settings

from labkit.storage.memory import Memory
from tests.watch_histories import OPS, Op, play


@given(OPS)
@settings(max_examples=40, deadline=None)
def test_no_event_is_lost_and_none_is_told_twice(ops: list[Op]) -> None:
    asyncio.run(_play(ops))


async def _play(ops: list[Op]) -> None:
    storage = Memory()
    try:
        await play(storage, ops)
    finally:
        await storage.close()
