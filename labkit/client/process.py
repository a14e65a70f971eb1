"""How a component lives: it works until systemd says SIGTERM, and then ends with 0."""

import asyncio
import errno
import gc
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from labkit.client.leader import LostLease


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on an event loop of its own until it ends or SIGTERM or SIGINT cancels it.

    Circles of garbage are looked for after 50,000 new objects instead of 700: what informers hold stays for long, and
    each look at all of it costs tenths of a second when the cluster is large.

    What it raises comes out as it is: a bug ends the process with its traceback, and systemd starts it again. Only a
    port that is taken and a lost lease are a sentence and exit 1.
    """

    async def supervise() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            pass

    gc.set_threshold(50_000, 20, 20)
    try:
        asyncio.run(supervise())
    except LostLease as exc:
        sys.exit(f"{exc}: somebody else may lead now")
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"{exc.strerror}: stop the program that has it, or choose another port")
