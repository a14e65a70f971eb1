"""How a component lives: it works until systemd says SIGTERM, and then ends with 0."""

import asyncio
import errno
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from labkit.client.leader import LostLease


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on an event loop of its own until it ends or SIGTERM or SIGINT cancels it.

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

    try:
        asyncio.run(supervise())
    except LostLease as exc:
        sys.exit(f"{exc}: somebody else may lead now")
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"{exc.strerror}: stop the program that has it, or choose another port")
