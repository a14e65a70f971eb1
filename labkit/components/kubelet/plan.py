"""What to do about one pod: look at what docker shows, decide, act - this is the decision.

        the pod         +     its containers     +     what we wait for     ->     actions, and when to look again
    (what should be)           (what is)                  (Memory)

            no pause container   -> StartPause         (the address of the pod)
            not there            -> Start              attempt 0
            ended, to be run     -> Start              attempt n+1: the first at once, then after 10, 20, ... 300 s
            to go                -> PreStop, Signal SIGTERM, after the grace period SIGKILL (ending.py)
            made, never started  -> Remove             what has ended stays for its log, until collector.py comes

The decision looks at the present state only and never at how it came about; that is why it does not matter who was
away in between: the kubelet, docker or the whole machine. Each call gives what can be done *now*; the loop in worker.py
acts, looks again and asks again, until nothing is left to do.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from labkit.api.types import Container as Spec
from labkit.api.types import Pod
from labkit.components.kubelet.actions import Action, Memory, Plan, Remove, Start, StartPause
from labkit.components.kubelet.ending import dismantle, end
from labkit.components.kubelet.runtime import PAUSE, Container
from labkit.components.kubelet.times import seconds

FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 300.0
LIVED_WELL = 600.0  # a container that ran this long starts at once again


def plan(pod: Pod | None, containers: Sequence[Container], memory: Memory, now: float) -> Plan:
    """Decide about one pod; None is a pod that the API server no longer knows."""
    if pod is None or pod.metadata.deletion_timestamp:
        return dismantle(pod, containers, memory, now)
    look = _Look(pod, containers, latest(containers), memory, now)
    wanted = [spec for spec in pod.spec.containers if _wanted(look, spec)]
    decided = Plan(due=deadline_of(pod))
    for container, cause in _doomed(look, wanted):
        end(decided, pod, container, cause, memory, now)
    if wanted:
        _run(decided, look, wanted)
    decided.actions += _surplus(look)
    return decided


def spec_hash(spec: Spec) -> str:
    """Eight hex digits that change when anything in a container's spec does: then it is made anew."""
    return f"{zlib.adler32(msgspec.json.encode(spec)):08x}"


def latest(containers: Sequence[Container]) -> dict[str, Container]:
    """The newest container of each name."""
    return {container.name: container for container in sorted(containers, key=lambda c: c.created)}


def has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def deadline_of(pod: Pod) -> float:
    """When the pod's time on this node is over, in seconds since 1970; inf for never."""
    allowed, since = pod.spec.active_deadline_seconds, seconds(pod.status.start_time)
    return inf if allowed is None or not since or has_ended(pod) else since + allowed


# -- the rules -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """All that the rules look at."""

    pod: Pod
    containers: Sequence[Container]
    newest: Mapping[str, Container]
    memory: Memory
    now: float

    def runs(self, name: str) -> bool:
        last = self.newest.get(name)
        return last is not None and last.running


def _wanted(look: _Look, spec: Spec) -> bool:
    """Whether this container should be running, by its restart policy."""
    last, policy = look.newest.get(spec.name), look.pod.spec.restart_policy
    if has_ended(look.pod):
        return False
    if last is None or not last.died:
        return True
    changed = last.hash != spec_hash(spec)
    if last.id in look.memory.signalled and (changed or policy != "Never"):
        return True  # it did not end by itself: we ended it, to make it anew
    match policy:
        case "Never":
            return False
        case "OnFailure":
            return last.exit_code != 0 or bool(last.error)
        case _:
            return True


def _doomed(look: _Look, wanted: Sequence[Spec]) -> list[tuple[Container, str]]:
    """The running containers that have to end, and why."""
    specs = {spec.name: spec for spec in look.pod.spec.containers}

    def cause(container: Container) -> str:
        if container is not look.newest[container.name]:
            return "a newer one runs"
        if container.name == PAUSE:
            return "" if wanted else "all containers of the pod have ended"
        if container.name not in specs:
            return "not in the pod's spec"
        if has_ended(look.pod):
            return f"the pod is {look.pod.status.phase}"
        if container.hash != spec_hash(specs[container.name]):
            return "its spec changed"
        if not look.runs(PAUSE):
            return "the pause container died"
        return look.memory.unhealthy.get(container.id, "")

    return [(container, why) for container in look.containers if container.running and (why := cause(container))]


def _run(decided: Plan, look: _Look, wanted: Sequence[Spec]) -> None:
    """Start what should run: the pause container first, everything else once that runs."""
    missing = [spec for spec in wanted if not look.runs(spec.name)]
    for spec in missing:
        decided.wait(spec.name, "ContainerCreating", "", inf)
    if look.runs(PAUSE):
        for spec in missing:
            _start(decided, look, spec)
    elif not any(container.running for container in look.containers):  # else wait: they have lost their network
        _start_pause(decided, look)


def _start_pause(decided: Plan, look: _Look) -> None:
    last = look.newest.get(PAUSE)
    if (setback := look.memory.setbacks.get(PAUSE)) and setback.until > look.now:
        for name in decided.waiting:
            decided.wait(name, setback.reason, setback.message, setback.until)
    elif last is None or not last.died:
        decided.actions.append(StartPause(attempt=0, backoff=0.0, cause="pod has no pause container"))
    elif (ready := _ready_at(last)) > look.now:
        for name in decided.waiting:
            decided.wait(name, "ContainerCreating", last.error or "the pause container died", ready)
    else:
        decided.actions.append(StartPause(last.attempt + 1, _next_backoff(last), "the pause container died"))


def _start(decided: Plan, look: _Look, spec: Spec) -> None:
    """Start one container, or say what it waits for."""
    last = look.newest.get(spec.name)
    if (setback := look.memory.setbacks.get(spec.name)) and setback.until > look.now:
        decided.wait(spec.name, setback.reason, setback.message, setback.until)
    elif last is None or not last.died:
        decided.actions.append(Start(spec.name, _attempt(look.pod, spec, last), 0.0, "not there yet"))
    elif not _ended_by_us(look, last) and (ready := _ready_at(last)) > look.now:
        decided.wait(spec.name, *_back_off(look.pod, spec, last), ready)
    else:
        cause = f"ended with exit code {last.exit_code}, restartPolicy {look.pod.spec.restart_policy}"
        decided.actions.append(Start(spec.name, last.attempt + 1, _next_backoff(last), cause))


def _back_off(pod: Pod, spec: Spec, last: Container) -> tuple[str, str]:
    """Reason and message for a container that waits for its next try."""
    if last.error:
        return "RunContainerError", last.error
    meta = pod.metadata
    failed = f"container={spec.name} pod={meta.name}_{meta.namespace}({meta.uid})"
    return "CrashLoopBackOff", f"Back-off {last.backoff:.0f}s restarting failed {failed}"


def _attempt(pod: Pod, spec: Spec, last: Container | None) -> int:
    """How often it was started before; when docker has forgotten it, the pod's status still knows."""
    if last is not None:
        return last.attempt
    known = next((status for status in pod.status.container_statuses if status.name == spec.name), None)
    return known.restart_count + 1 if known and known.container_id else 0


def _ended_by_us(look: _Look, last: Container) -> bool:
    """It ended because its pod was rebuilt or its spec changed, which is no crash."""
    rebuilt = (last.finished or last.created) < look.newest[PAUSE].created
    return rebuilt or (last.id in look.memory.signalled and last.id not in look.memory.unhealthy)


def _ready_at(last: Container) -> float:
    ended = last.finished or last.created
    return ended if last.started and ended - last.started >= LIVED_WELL else ended + last.backoff


def _next_backoff(last: Container) -> float:
    """What the next one will have to wait after its death: 10 s, then twice as long each time."""
    if last.started and last.finished - last.started >= LIVED_WELL:
        return 0.0
    return min(LONGEST_BACKOFF, max(FIRST_BACKOFF, 2 * last.backoff))


def _surplus(look: _Look) -> list[Action]:
    """Containers that were made but never started, and pause containers of before."""
    actions: list[Action] = []
    for name, last in look.newest.items():
        own = sorted((c for c in look.containers if c.name == name), key=lambda container: container.created)
        if name == PAUSE:
            dead = [container for container in own if container.died and (last.running or container is not last)]
            actions += [Remove(container, "a newer one was made") for container in dead]
        half_made = [container for container in own if not container.running and not container.died]
        actions += [Remove(container, "made but never started") for container in half_made]
    return actions
