"""A blocking iterator, docker's log or event stream, read in a thread of its own and handed to the event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 64  # items read before the consumer takes one
_JOIN_SECONDS = 2.0
_END = object()


async def read_in_thread(
    open_stream: Callable[[], Iterable[T]], on_open: Callable[[], T] | None = None
) -> AsyncGenerator[T, None]:
    """The items of `open_stream()`, which may block as long as it likes; what it raises is raised here.

    `on_open()` is called once the stream is open and gives a first item. Leaving early closes the stream (docker-py's
    streams have a close() that wakes the blocked reader).
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    opened: list[Iterable[T]] = []
    left = threading.Event()

    def hand_over(item: object) -> None:
        room.acquire()
        if not left.is_set():
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody listens any more
                loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        end: object = _END
        try:
            opened.append(open_stream())
            if on_open is not None:
                hand_over(on_open())
            for item in opened[0]:
                if left.is_set():
                    return
                hand_over(item)
        except Exception as exc:
            end = exc
        hand_over(end)

    thread = threading.Thread(target=read, name="docker-stream", daemon=True)
    thread.start()
    try:
        while (item := await queue.get()) is not _END:
            room.release()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        left.set()
        room.release()
        if opened and thread.is_alive():
            _close(opened[0])
        await asyncio.to_thread(thread.join, _JOIN_SECONDS)


def _close(stream: object) -> None:
    # docker-py reaches for the socket through attributes that are None once the stream has ended; a plain generator
    # that waits in its thread cannot be closed (ValueError), and is left to end by itself
    with suppress(AttributeError, OSError, ValueError):
        stream.close()  # type: ignore[attr-defined]
