"""What kube-dns counts: for `GET /metrics` on its loopback port, and for one log line when something is not normal.

    kube_dns_queries_total{proto="udp"} 1204          kube_dns_cache_hits_total 1190
    kube_dns_queries_dropped_total 0                  kube_dns_malformed_total 2

A flood is not answered to the last question: what does not fit into the socket's queue the kernel drops, and counts.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass

from labkit.trace import Tracer

LOOK_SECONDS = 1.0
_SO_MEMINFO, _DROPS = 55, struct.Struct("9I")  # sock_diag(7): the ninth number is the socket's drops


@dataclass
class Counts:
    """Everything since the start."""

    udp: int = 0
    tcp: int = 0
    cached: int = 0
    malformed: int = 0
    dropped: int = 0
    last_malformed: str = ""
    """Who sent it."""

    def text(self, **gauges: int) -> str:
        """In the format of Prometheus; gauges: what is so now."""
        rows = [
            ('queries_total{proto="udp"}', self.udp),
            ('queries_total{proto="tcp"}', self.tcp),
            ("cache_hits_total", self.cached),
            ("malformed_total", self.malformed),
            ("queries_dropped_total", self.dropped),
            *gauges.items(),
        ]
        return "".join(f"kube_dns_{name} {value}\n" for name, value in rows)


def drops(udp: socket.socket) -> int:
    """How many datagrams the kernel has dropped because the socket's queue was full."""
    return int(_DROPS.unpack(udp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size))[8])


async def tell(counts: Counts, trace: Tracer) -> None:
    """Log, at most once a second, that datagrams were dropped or could not be read."""
    dropped, malformed = counts.dropped, counts.malformed
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if counts.dropped > dropped:
            trace.log("queries dropped", count=counts.dropped - dropped, cause="more come than can be answered")
        if counts.malformed > malformed:
            trace.log("malformed packets", count=counts.malformed - malformed, last=counts.last_malformed)
        dropped, malformed = counts.dropped, counts.malformed
