"""iptables itself, in a network namespace of its own, keeps the contract that its twin keeps."""

import os
from collections.abc import Iterator

import pytest

from labkit.components.kube_proxy.nat import Iptables
from tests.nat_contract import NatContract
from tests.node.netns import Netns, namespace


class InNamespace(Iptables):
    def __init__(self, netns: Netns) -> None:
        self._netns = netns

    async def _run(self, *command: str, text: str = "") -> str:
        return await super()._run(*self._netns.command(*command), text=text)


@pytest.fixture
def table() -> Iterator[Iptables]:
    with namespace(f"lk-nat-{os.getpid()}") as netns:
        netns.run("iptables", "-t", "nat", "-L", "-n")  # before that the table does not exist
        yield InNamespace(netns)


class TestIptables(NatContract):
    pass
