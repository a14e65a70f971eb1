"""What is noted of every request once its answer is known: numbers for /metrics, a line for the audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from labkit.components.kube_apiserver.audit import FLUSH_SECONDS, AuditLog, Line, line_of
from labkit.components.kube_apiserver.messages import Answer, Request, Stream, Tunnel
from labkit.components.kube_apiserver.metrics import Metrics
from labkit.trace import Tracer

T = TypeVar("T")


class Observer:
    """Stands around the handler of all requests. `audit` None: no audit log."""

    def __init__(self, metrics: Metrics, audit: AuditLog | None, trace: Tracer) -> None:
        self.metrics = metrics
        self._audit = audit
        self._trace = trace
        self._blind = False

    async def observed(self, handler: Callable[[Request], Awaitable[T]], request: Request) -> T:
        """The handler's answer."""
        started, code = time.perf_counter(), 500
        try:
            answer = await handler(request)
            code = answer.status if isinstance(answer, Answer | Stream | Tunnel) else 500
        finally:
            self._note(request, code, time.perf_counter() - started)
        if isinstance(answer, Stream) and request.at is not None and request.verb == "watch":
            answer.chunks = self._counted(answer.chunks, (request.at.resource,))
        return answer

    def refused(self, request: Request, code: int) -> None:
        """What never came to the handler: no HTTP, too long, too slow."""
        request.verb = request.method.lower()
        self._note(request, code, 0.0)

    def _note(self, request: Request, code: int, seconds: float) -> None:
        self.metrics.answered(request.verb, request.at.full_resource if request.at else "", code, seconds)
        if self._audit is not None:
            self._audited(self._audit.write, line_of(request, code, seconds, time.time()))

    async def flush(self) -> None:
        """For ever: the audit log's lines get to the disk."""
        while self._audit is not None:
            await asyncio.sleep(FLUSH_SECONDS)
            self._audited(self._audit.flush)

    def _audited(self, work: Callable[..., None], *line: Line) -> None:
        try:
            work(*line)
            self._blind = False
        except OSError as error:  # said once: the disk is full, say, and every request would say it
            if not self._blind:
                self._trace.log(f"cannot write the audit log, going on without it: {error}", level="error")
            self._blind = True

    async def _counted(
        self, chunks: AsyncGenerator[bytes, None], labels: tuple[str, ...]
    ) -> AsyncGenerator[bytes, None]:
        """The chunks of a watch, which counts as open meanwhile."""
        self.metrics.watchers.add(labels)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        finally:
            self.metrics.watchers.add(labels, -1)
