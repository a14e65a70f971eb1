"""Memory under the storage contract."""

from collections.abc import AsyncIterator

import pytest

from labkit.storage.memory import Memory
from tests.storage_contract import StorageContract


@pytest.fixture
async def storage() -> AsyncIterator[Memory]:
    memory = Memory()
    yield memory
    await memory.close()


class TestMemory(StorageContract):
    """Nothing of its own: all that Memory promises is the contract."""
