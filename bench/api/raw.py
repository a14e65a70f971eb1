"""etcd's own figures, by two clients:

    channel    the server's own: labkit/storage/etcd.py, as the goals say ("the same client")
    grpc.aio   etcd3's stubs on the channel that gRPC brings for Python: whoever asks etcd without more ado has this one

The goals' shares were set when the server itself used grpc.aio. A leaner channel makes the server's figures rise and
those of etcd behind the same channel rise more; behind grpc.aio etcd's figures stay comparable from year to year.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from bench.api.connection import WrongAnswer
from bench.api.figures import Figures, measured, quantile
from labkit.storage import etcd3_import  # noqa: F401  (must come before etcd3)

import etcd3.etcdrpc as rpc  # isort: skip

if TYPE_CHECKING:
    from bench.api.load import Wish


class Operations(NamedTuple):
    """What is asked of etcd."""

    put: Callable[[str, bytes], Awaitable[None]]
    """Of a key that must not be there yet."""
    get: Callable[[str], Awaitable[bool]]
    """Whether the key is there."""
    close: Callable[[], Awaitable[None]]


def by_channel(wish: Wish) -> Operations:
    storage = wish.where.storage()

    async def put(key: str, value: bytes) -> None:
        await storage.commit({key: 0}, {key: value})

    async def get(key: str) -> bool:
        return await storage.get(key) is not None

    return Operations(put, get, storage.close)


def by_grpc(wish: Wish) -> Operations:
    files, address = wish.where.etcd_files, wish.where.etcd
    if files is None:
        channel = grpc.aio.insecure_channel(address)
    else:
        pem = [Path(file).read_bytes() for file in (files.ca, files.key, files.certificate)]
        channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*pem))
    stub: Any = rpc.KVStub(channel)

    async def put(key: str, value: bytes) -> None:
        there = rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=key.encode(), mod_revision=0)
        write = rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value))
        read = rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))
        if not (await stub.Txn(rpc.TxnRequest(compare=[there], success=[write], failure=[read]))).succeeded:
            raise WrongAnswer(f"{key} was there already")

    async def get(key: str) -> bool:
        return bool((await stub.Range(rpc.RangeRequest(key=key.encode()))).kvs)

    return Operations(put, get, channel.close)


async def puts(wish: Wish, client: Callable[[Wish], Operations]) -> Figures:
    """Compare-and-swap of `count` new keys, values of the size that a pod has."""
    operations = client(wish)
    value, numbers = b"x" * wish.size, iter(range(wish.count))

    async def put() -> bool:
        if (number := next(numbers, None)) is None:
            return False
        await operations.put(f"/bench/{wish.prefix}/{number}", value)
        return True

    return await _loaded(wish, operations, put)


async def gets(wish: Wish, client: Callable[[Wish], Operations]) -> Figures:
    operations = client(wish)
    until = time.perf_counter() + wish.seconds

    async def get() -> bool:
        if time.perf_counter() > until:
            return False
        if not await operations.get(wish.path):
            raise WrongAnswer(f"{wish.path} is not in etcd")
        return True

    return await _loaded(wish, operations, get)


async def _loaded(wish: Wish, operations: Operations, operation: Callable[[], Awaitable[bool]]) -> Figures:
    figures, times = Figures(), list[float]()
    await operations.get("/")  # connected

    async def one_client() -> None:
        while True:
            started = time.perf_counter()
            if not await operation():
                return
            times.append(time.perf_counter() - started)

    with measured(figures, {"etcd": wish.where.pids["etcd"]}):
        await asyncio.gather(*(one_client() for _ in range(wish.clients)))
        figures.count = len(times)
    await operations.close()
    figures.p50, figures.p99 = 1e3 * quantile(times, 0.5), 1e3 * quantile(times, 0.99)
    return figures
