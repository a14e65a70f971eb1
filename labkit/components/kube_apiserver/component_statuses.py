"""How are the server's neighbours? kubectl get componentstatuses.

    controller-manager   http://127.0.0.1:10252/healthz
    scheduler            http://127.0.0.1:10251/healthz
    etcd-0               does the store answer?

They are asked anew each time; nothing is stored. Source: pkg/registry/componentstatus of Kubernetes 1.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from labkit.api.types import ComponentCondition, ComponentStatus, ObjectMeta
from labkit.storage.protocol import Storage, StorageError

SECONDS = 2.0
PORTS = {"controller-manager": 10252, "scheduler": 10251}

Check = Callable[[], Awaitable[ComponentCondition]]


def condition(status: int, text: str) -> ComponentCondition:
    """What a component's answer to /healthz means."""
    if status == 200:
        return ComponentCondition(type="Healthy", status="True", message=text)
    return ComponentCondition(type="Healthy", status="False", message=text, error=f"HTTP status {status}")


async def ask(port: int) -> ComponentCondition:
    """One component of this machine."""
    url = f"http://127.0.0.1:{port}/healthz"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS), trust_env=False) as session,
            session.get(url) as answer,
        ):
            return condition(answer.status, (await answer.text())[:1000].strip())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        text = f"Get {url}: {error or type(error).__name__}"
        return ComponentCondition(type="Healthy", status="Unknown", error=text)


async def ask_store(storage: Storage) -> ComponentCondition:
    try:
        async with asyncio.timeout(SECONDS):
            await storage.revision()
    except (StorageError, TimeoutError) as error:
        return ComponentCondition(type="Healthy", status="False", error=str(error) or "no answer")
    return ComponentCondition(type="Healthy", status="True", message='{"health": "true"}')


def checks(storage: Storage, ports: Mapping[str, int] = PORTS) -> dict[str, Check]:
    """name -> what finds out about it."""
    found: dict[str, Check] = {name: lambda port=port: ask(port) for name, port in ports.items()}  # type: ignore[misc]
    return found | {"etcd-0": lambda: ask_store(storage)}


async def statuses(asked: Mapping[str, Check]) -> list[ComponentStatus]:
    """All are asked at once."""
    conditions = await asyncio.gather(*(check() for check in asked.values()))
    return [
        ComponentStatus(
            metadata=ObjectMeta(name=name, self_link=f"/api/v1/componentstatuses/{name}"), conditions=[found]
        )
        for name, found in zip(asked, conditions, strict=True)
    ]
