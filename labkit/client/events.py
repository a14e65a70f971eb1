"""Events: what a component tells people about an object (`kubectl describe` shows them).

    recorder.event(pod, "scheduled", "Successfully assigned redis-master to agent1")

An event that repeats (same object, reason and message) is one object whose count and lastTimestamp grow.
Events are told, never waited for: when the API server is slow or away they queue up, and beyond a bound they are
dropped with a line in the log. They give way, too: a controller that makes 3,000 pods tells of the first 200 at once
and of 50 a second of the rest, for half of all writes would be events. Source: Kubernetes 1.0, pkg/client/record; the
pace is later times' --event-qps.
"""

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import NamedTuple

from labkit.api.errors import ApiError, Conflict, NotFound, ServerUnavailable
from labkit.api.types import Event, EventSource, Object, ObjectMeta, ObjectReference, copy
from labkit.client.backoff import delay
from labkit.client.pace import Pace
from labkit.client.rest import Client
from labkit.trace import Tracer

QUEUED = 5000
PER_SECOND, AT_ONCE = 50.0, 200
REMEMBERED = 4096
ATTEMPTS = 8


class _Sameness(NamedTuple):
    uid: str
    name: str
    field_path: str
    reason: str
    message: str


class EventRecorder:
    """Writes events of one component; `run()` is the task that sends them."""

    def __init__(self, client: Client, component: str, host: str = "", *, trace: Tracer | None = None) -> None:
        self._client = client
        self.pace = Pace(PER_SECOND, AT_ONCE)
        self._source = EventSource(component=component, host=host)
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUED)
        self._sent: OrderedDict[_Sameness, Event] = OrderedDict()
        self._trace = trace or Tracer(component)

    def event(self, obj: Object, reason: str, message: str, *, field_path: str = "") -> None:
        """Tell something about an object; `field_path` names a part of it, `spec.containers{redis}`."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = obj.metadata
        event = Event(
            metadata=ObjectMeta(name=f"{meta.name}.{time.time_ns():x}", namespace=meta.namespace or "default"),
            involved_object=reference(obj, field_path),
            reason=reason,
            message=message,
            source=self._source,
            first_timestamp=now,
            last_timestamp=now,
            count=1,
        )
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._trace.log("event dropped, too many wait", level="warning", reason=reason, event=message)

    async def run(self) -> None:
        """Send what is told, one after the other and at our pace, until cancelled."""
        while True:
            event = await self._queue.get()
            await self.pace.turn()
            await self._deliver(event)

    async def flush(self) -> None:
        """Send what still waits; for the end of a short-lived process."""
        while not self._queue.empty():
            await self._deliver(self._queue.get_nowait())

    async def _deliver(self, event: Event) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._send(event)
            except ServerUnavailable:
                await asyncio.sleep(delay(attempt))
            except ApiError as exc:
                return self._trace.log("event refused", level="warning", reason=event.reason, error=str(exc))
        return self._trace.log("event dropped, no API server", level="warning", reason=event.reason)

    async def _send(self, event: Event) -> None:
        """Create it, or count one more when it was sent before (and has neither expired nor been changed since)."""
        ref = event.involved_object
        sameness = _Sameness(ref.uid, ref.name, ref.field_path, event.reason, event.message)
        stored = None
        if (known := self._sent.get(sameness)) is not None:
            again = copy(known)
            again.count = (known.count or 1) + 1
            again.last_timestamp = event.last_timestamp
            try:
                stored = await self._client.update(again)
            except (NotFound, Conflict):
                pass
        self._sent[sameness] = stored or await self._client.create(event)
        self._sent.move_to_end(sameness)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)


def reference(obj: Object, field_path: str = "") -> ObjectReference:
    """How an event, an endpoint or an annotation points at an object."""
    meta = obj.metadata
    return ObjectReference(
        kind=obj.kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        api_version=obj.api_version,
        resource_version=meta.resource_version,
        field_path=field_path,
    )
