"""What plan() gives and what it is given: actions to take now, and what has to be remembered between two looks."""

from dataclasses import dataclass, field
from math import inf

from labkit.api.types import ContainerStateWaiting, Handler
from labkit.components.kubelet.runtime import Container


@dataclass(frozen=True)
class StartPause:
    attempt: int
    backoff: float
    cause: str


@dataclass(frozen=True)
class Start:
    name: str
    attempt: int
    backoff: float
    cause: str


@dataclass(frozen=True)
class PreStop:
    """grace: the seconds that the hook may take."""

    container: Container
    hook: Handler
    grace: float
    cause: str


@dataclass(frozen=True)
class Signal:
    container: Container
    signal: str
    cause: str


@dataclass(frozen=True)
class Remove:
    container: Container
    cause: str


Action = StartPause | Start | PreStop | Signal | Remove


@dataclass
class Setback:
    """Why a container cannot be started now, and when (seconds since 1970) to try again; inf: somebody will wake us."""

    reason: str
    message: str
    until: float


@dataclass
class HookRun:
    """When a preStop hook began and ended, in seconds since 1970."""

    began: float
    ended: float = 0.0

    @property
    def running(self) -> bool:
        return not self.ended


@dataclass
class Memory:
    """What docker cannot tell: by container name what keeps it from starting, by container id how its preStop hook
    does, when it was sent its first signal and why it has to end."""

    setbacks: dict[str, Setback] = field(default_factory=dict)
    hooks: dict[str, HookRun] = field(default_factory=dict)
    signalled: dict[str, float] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)


@dataclass
class Plan:
    """actions: in this order. waiting: why a container does not run yet. due: when to look again, inf for never.
    gone: the pod was to go, and nothing is left of it."""

    actions: list[Action] = field(default_factory=list)
    waiting: dict[str, ContainerStateWaiting] = field(default_factory=dict)
    due: float = inf
    gone: bool = False

    def wait(self, name: str, reason: str, message: str, until: float) -> None:
        self.waiting[name] = ContainerStateWaiting(reason=reason, message=message)
        self.due = min(self.due, until)
