"""Numbers for local ports, from the range that the kernel keeps for such: 32768-60999 unless somebody changed it.

Asking for port 0 leaves the choice to the kernel, which first looks through every second port: beyond some 6,000 open
ones each search is a long one, and 9,000 services took 6 s of it. Chance finds a free one at once.
Source: ip_local_port_range in ip-sysctl of the kernel, inet_csk_find_open_port.
"""

import random
from collections.abc import Iterator
from pathlib import Path

TRIES = 16
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def candidates(used_before: int = 0) -> Iterator[int]:
    """Ports to try, in order: the one used before (0: none), some by chance, and at last 0, the kernel's choice."""
    if used_before:
        yield used_before
    first, last = (int(number) for number in _RANGE.read_text().split())
    for _ in range(TRIES):
        yield random.randint(first, last)
    yield 0
