"""Waiting for a state instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], within: float = 20.0, *, every: float = 0.01, expect: str = ""
) -> T: ...


@overload
async def eventually(check: Callable[[], T], within: float = 20.0, *, every: float = 0.01, expect: str = "") -> T: ...


async def eventually(
    check: Callable[[], T | Awaitable[T]], within: float = 20.0, *, every: float = 0.01, expect: str = ""
) -> T:
    """The first true answer of `check()`, asked every so many seconds; AssertionError after `within` seconds.

    A check may be a coroutine function, and may use assert: its last AssertionError then says what was wrong.
    `expect` names what is waited for.
    """
    deadline = time.monotonic() + within
    answer: T | None = None
    failure: AssertionError | None = None
    while True:
        try:
            asked = check()
            answer, failure = cast(T, await asked if inspect.isawaitable(asked) else asked), None
        except AssertionError as exc:
            failure = exc
        if failure is None and answer:
            return answer
        if time.monotonic() > deadline:
            waited = expect or getattr(check, "__doc__", "") or "what was expected"
            last = failure if failure is not None else f"the last answer was {answer!r}"
            raise AssertionError(f"not within {within} s: {waited}: {last}") from failure
        await asyncio.sleep(every)
