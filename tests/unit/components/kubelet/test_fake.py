"""The runtime contract on the twin."""

from collections.abc import AsyncIterator

import pytest

from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.runtime import RuntimeUnavailable
from tests.runtime_contract import ABSENT, RuntimeContract, program


@pytest.fixture
def node() -> str:
    return "kubelet-test-fake"


@pytest.fixture
def uid() -> str:
    return "uid-1"


@pytest.fixture
def image() -> str:
    return "busybox"


@pytest.fixture
def pause_image() -> str:
    return "pause"


@pytest.fixture
async def runtime(node: str) -> AsyncIterator[FakeRuntime]:
    fake = FakeRuntime(node, program=program)
    fake.absent.add(ABSENT)
    fake.stored = {"busybox": 1 << 20}
    yield fake
    await fake.close()


class TestFakeRuntime(RuntimeContract):
    async def test_a_runtime_that_is_down_answers_nothing(self, runtime: FakeRuntime) -> None:
        events = runtime.events()
        await anext(events)
        runtime.stop()
        with pytest.raises(RuntimeUnavailable):
            await runtime.containers()
        with pytest.raises(RuntimeUnavailable):
            await anext(events)
        runtime.restart()
        assert await runtime.containers() == []
