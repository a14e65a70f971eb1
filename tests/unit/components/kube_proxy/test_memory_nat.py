"""The nat table in memory keeps the contract."""

import pytest

from labkit.components.kube_proxy.memory_nat import MemoryNat
from tests.nat_contract import NatContract


@pytest.fixture
def table() -> MemoryNat:
    return MemoryNat()


class TestMemoryNat(NatContract):
    pass
