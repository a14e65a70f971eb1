"""What the kubelet says of a pod: its phase, whether it is ready, and the state of each container.

phase      Pending    a container has never run yet
           Running    one runs, or will be started again
           Succeeded  all ended with exit code 0, and stay so
           Failed     all ended, one of them not with 0, and stay so; or the kubelet ended them, and `reason` says why
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.api.types import (
    Condition,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodStatus,
)
from labkit.api.types import Container as Spec
from labkit.components.kubelet.plan import has_ended
from labkit.components.kubelet.runtime import PAUSE, Container
from labkit.components.kubelet.times import stamp


@dataclass(frozen=True)
class Seen:
    """What a status is made of: docker's containers, what waits for what (the plan), and who failed its probe."""

    containers: Sequence[Container]
    waiting: Mapping[str, ContainerStateWaiting] = field(default_factory=dict)
    unready: frozenset[str] = frozenset()  # ids of running containers


def status_of(pod: Pod, seen: Seen, host_ip: str, now: float) -> PodStatus:
    """The status of a pod of this node."""
    statuses = [_container_status(pod, spec, seen) for spec in pod.spec.containers]
    before = pod.status
    phase = before.phase if has_ended(pod) else phase_of(pod.spec.restart_policy, statuses)
    pause = next((c for c in reversed(seen.containers) if c.name == PAUSE and c.running), None)
    on_host = bool(pod.spec.host_network) and pause is not None
    return PodStatus(
        phase=phase,
        conditions=conditions_of(before.conditions, phase, statuses, now),
        message=before.message,
        reason=before.reason,
        host_ip=host_ip,
        pod_ip=host_ip if on_host else (pause.ip if pause else ""),
        start_time=before.start_time or stamp(now),
        container_statuses=statuses,
    )


def phase_of(restart_policy: str, statuses: Sequence[ContainerStatus]) -> str:
    """The pod's place in its life."""
    ends = [status.state.terminated or status.last_state.terminated for status in statuses]
    running = [status.state.running for status in statuses]
    if any(end is None and run is None for end, run in zip(ends, running, strict=True)):
        return "Pending"
    if any(running) or restart_policy == "Always":
        return "Running"
    final = [status.state.terminated for status in statuses]
    if None in final:
        return "Running"  # one is waiting to be started again
    if all(end is not None and end.exit_code == 0 for end in final):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def conditions_of(
    before: Sequence[Condition], phase: str, statuses: Sequence[ContainerStatus], now: float
) -> list[Condition]:
    """Initialized, Ready, ContainersReady and PodScheduled; 1.0 knew only Ready, later clients wait for the others."""
    unready = [status.name for status in statuses if not status.ready]
    if phase == "Succeeded":
        verdict = ("False", "PodCompleted", "")
    elif unready:
        verdict = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        verdict = ("True", "", "")
    wanted = {"Initialized": ("True", "", ""), "Ready": verdict, "ContainersReady": verdict}
    wanted["PodScheduled"] = ("True", "", "")
    known = {condition.type: condition for condition in before}
    return [_condition(name, *verdict, known.get(name), now) for name, verdict in wanted.items()]


def _condition(name: str, status: str, reason: str, message: str, before: Condition | None, now: float) -> Condition:
    same = before is not None and before.status == status
    since = before.last_transition_time if before is not None and same else None
    return Condition(type=name, status=status, reason=reason, message=message, last_transition_time=since or stamp(now))


def _container_status(pod: Pod, spec: Spec, seen: Seen) -> ContainerStatus:
    """One container: what it does now, and how it ended the last time."""
    own = [c for c in seen.containers if c.name == spec.name and (c.running or c.died)]
    ends = [container for container in own if container.state == "exited"]
    last = own[-1] if own else None
    waiting = seen.waiting.get(spec.name)
    if last is None:
        return _without_containers(pod, spec, waiting)
    if last.running:
        state, previous = ContainerState(running=ContainerStateRunning(started_at=stamp(last.started))), ends
    elif waiting is not None and (waiting.reason != "ContainerCreating" or not ends):
        state, previous = ContainerState(waiting=waiting), ends
    else:
        state = ContainerState(terminated=_terminated(last))
        previous = [container for container in ends if container is not last]
    return ContainerStatus(
        name=spec.name,
        state=state,
        last_state=ContainerState(terminated=_terminated(previous[-1])) if previous else ContainerState(),
        ready=last.running and last.id not in seen.unready and not has_ended(pod),
        restart_count=last.attempt,
        image=spec.image,
        image_id=f"docker://{last.image_id}" if last.image_id else "",
        container_id=f"docker://{last.id}",
    )


def _without_containers(pod: Pod, spec: Spec, waiting: ContainerStateWaiting | None) -> ContainerStatus:
    """Docker knows none: the pod is new, or its remains were cleared away and only the API server remembers them."""
    known = next((status for status in pod.status.container_statuses if status.name == spec.name), None)
    if known is not None and has_ended(pod):
        return known
    state = ContainerState(waiting=waiting or ContainerStateWaiting(reason="ContainerCreating"))
    status = ContainerStatus(name=spec.name, state=state, image=spec.image)
    if known is not None and known.container_id:  # plan() counts on from there
        status.restart_count, status.container_id = known.restart_count, known.container_id
        status.last_state = ContainerState(terminated=known.state.terminated or known.last_state.terminated)
    return status


def _terminated(container: Container) -> ContainerStateTerminated:
    if container.error:
        reason = "ContainerCannotRun"
    elif container.oom_killed:
        reason = "OOMKilled"
    else:
        reason = "Completed" if container.exit_code == 0 else "Error"
    return ContainerStateTerminated(
        exit_code=container.exit_code,
        reason=reason,
        message=container.error or container.message,
        started_at=stamp(container.started or container.created),
        finished_at=stamp(container.finished or container.created),
        container_id=f"docker://{container.id}",
    )
