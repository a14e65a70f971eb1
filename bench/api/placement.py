"""On which cores the processes of a load run.

With one request under way no two of them ever work at once, and the kernel may put them on one core or on several: it
then wakes a core that sleeps for each step, and in a virtual machine that costs more than the step itself. One client's
figures are therefore taken twice: as the kernel places the processes (the row's value), and with all on one core.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def on_one_core(pids: Iterable[int]) -> Iterator[None]:
    """These processes and this one, for as long as it lasts."""
    everywhere = os.sched_getaffinity(0)
    processes = [*pids, os.getpid()]
    _place(processes, {max(everywhere)})
    try:
        yield
    finally:
        _place(processes, everywhere)


def _place(pids: Iterable[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)
