"""What every layer shares: nothing outlives its test."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest

# On a busy computer an example takes as long as it takes: 200 ms, hypothesis' own bound, failed tests for nothing.
hypothesis.settings.register_profile("labkit", deadline=None)
hypothesis.settings.load_profile("labkit")


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a (non-daemon) thread or a task running fails; a loop's own pool is the loop's to end."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("leaves_no_task_behind")
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and not t.daemon and not t.name.startswith("asyncio_")]
    for thread in left:
        thread.join(2)  # some libraries end theirs without waiting for them
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"threads left behind: {left}"


@pytest.fixture
async def leaves_no_task_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = {t for t in asyncio.all_tasks() - before - {asyncio.current_task()} if t is not None and not t.done()}
    assert not left, f"tasks left behind: {left}"
