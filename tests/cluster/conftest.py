"""Cluster tests leave no file or socket open (tasks and threads are watched for every test)."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
async def leaves_no_file_open() -> AsyncIterator[None]:
    await asyncio.to_thread(gc.collect)  # the loop's own thread pool and its pipe exist from here on
    before = open_files()
    yield

    def closed() -> bool:
        gc.collect()
        return open_files() <= before

    await eventually(closed, 3, expect="the test's files and sockets closed")


@pytest.fixture
async def cluster() -> AsyncIterator[OneProcess]:
    async with one_process() as cluster:
        yield cluster
