"""Thousands of services at once: every mode has their rules soon, and who is connected notices nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import EndpointAddress, EndpointPort, Endpoints, EndpointSubset, ObjectMeta, ServicePort
from labkit.components.kube_proxy.modes import MODES
from labkit.testing.eventually import eventually
from tests.node.netns import POD_IPS
from tests.node.world import Component, World, world

A = POD_IPS["pod-a"]
SERVICES, AT_ONCE = 2000, 100
pytestmark = pytest.mark.timeout(180)
TCP, TARGET = ServicePort(port=80, protocol="TCP"), EndpointPort(port=8000, protocol="TCP")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.backend("pod-a", 8000)
        await made.service("web", "10.0.0.12", TCP)
        await made.endpoints("web", A, ports=(TARGET,))
        yield made


async def add(lab: World, number: int) -> None:
    """Every fourth one has an endpoint, the others none (yet)."""
    await lab.service(f"s{number}", address(number), TCP)
    if number % 4 == 0:
        meta = ObjectMeta(name=f"s{number}", namespace="default")
        subset = EndpointSubset(addresses=[EndpointAddress(ip=A)], ports=[TARGET])
        await lab.client.create(Endpoints(metadata=meta, subsets=[subset]))


def address(number: int) -> str:
    return f"10.0.{100 + number // 250}.{number % 250 + 1}"


async def all_answer(lab: World) -> bool:
    """The first, the last and some between, from a pod."""
    numbers = (0, SERVICES // 4, SERVICES // 2, SERVICES - 4)
    try:
        return [await lab.greeting("pod-b", address(number), 80) for number in numbers] == ["pod-a"] * len(numbers)
    except OSError:  # not yet
        return False


async def test_thousands_of_services_at_once(lab: World) -> None:
    proxy = await lab.proxy()
    with await lab.connect("pod-b", "10.0.0.12", 80) as old:
        began = time.monotonic()
        for start in range(0, SERVICES, AT_ONCE):
            await asyncio.gather(*(add(lab, number) for number in range(start, start + AT_ONCE)))
        print(f"{SERVICES} services made in {time.monotonic() - began:.1f} s")
        await eventually(lambda: all_answer(lab), within=60)
        old.sendall(b"still there?")
        heard = b""
        while b"still there?" not in heard:
            heard += await asyncio.to_thread(old.recv, 100)
            assert heard
    assert not troubles(proxy)
    for mode in MODES[1:]:
        await proxy.stop()
        proxy = await lab.proxy(f"--proxy-mode={mode}")
        await eventually(lambda: all_answer(lab), within=60, expect=f"{mode} mode")
        saved = await lab.run("node", "iptables-save")
        assert "KUBE-PORTALS" not in saved, "what the mode before had written is gone"
        assert not troubles(proxy)


def troubles(proxy: Component) -> list[dict[str, Any]]:
    """Of all services but `kubernetes`, whose only endpoint is the loopback here."""
    told = [line for line in proxy.lines if line.get("level") in ("warning", "error")]
    return [line for line in told if line.get("service") != "default/kubernetes"]
