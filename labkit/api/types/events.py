"""Events: what happened to an object, told by whoever did it."""

from typing import ClassVar

from labkit.api.types.metadata import Object, ObjectReference
from labkit.api.types.part import Int32, Part, Time, shown


class EventSource(Part):
    component: str = ""
    host: str = ""


class Event(Object):
    KIND: ClassVar[str] = "Event"
    involved_object: ObjectReference = shown(None)
    reason: str = ""
    message: str = ""
    source: EventSource = shown(None)
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    count: Int32 | None = None
    type: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.involved_object = self.involved_object or ObjectReference()
        self.source = self.source or EventSource()
