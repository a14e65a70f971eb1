"""Looks every 10 s at what the machine and its containers use, and keeps the last ten minutes.

Runtime.usage() -> Sample -> Stats.samples -> summary.py      /stats/summary   for kube-apiserver, kubectl top
                                              cadvisor.py     /stats/, /spec/  as the kubelet of 2015 had it
                                              exposition.py   /metrics         for Prometheus
"""

import asyncio
from collections import deque

from labkit.components.kubelet.runtime import Runtime, RuntimeFailure, Sample
from labkit.trace import Tracer

KEPT = 60
SOON_SECONDS = 1.0
"""The second look follows the first so soon: then there is a rate."""


class Stats:
    """The samples, oldest first."""

    def __init__(self, runtime: Runtime, interval: float, trace: Tracer) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self._runtime = runtime
        self._interval = interval
        self._trace = trace

    async def run(self) -> None:
        """Until cancelled; a runtime that does not answer is asked again at the next turn."""
        while True:
            try:
                await self.look()
            except RuntimeFailure as exc:
                self._trace.log("usage not read", level="warning", error=str(exc))
            await asyncio.sleep(self._interval if len(self.samples) > 1 else min(SOON_SECONDS, self._interval))

    async def look(self) -> None:
        """Raises RuntimeFailure."""
        self.samples.append(await self._runtime.usage())
