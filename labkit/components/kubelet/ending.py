"""How containers end: the preStop hook, SIGTERM, the rest of the grace period, SIGKILL.

    |<----------------- grace period ----------------->|
    preStop hook ........ SIGTERM .....................SIGKILL
                                 |<- at least 2 s ->|

The hook runs first and its time counts, so a hook that takes all of it leaves the container 2 s to put things in order.
Source: Kubernetes 1.0, killContainer in pkg/kubelet/dockertools/manager.go.
"""

from collections.abc import Sequence

from labkit.api.types import Container as Spec
from labkit.api.types import Handler, Pod
from labkit.components.kubelet.actions import Memory, Plan, PreStop, Remove, Signal
from labkit.components.kubelet.runtime import PAUSE, Container

DEFAULT_GRACE = 30
LEAST_GRACE = 2.0  # what a hook leaves, however long it took
KILL_AGAIN = 10


def grace_period(pod: Pod | None, container: Container) -> int:
    """Seconds between the begin of an end and SIGKILL; of a pod that is gone, what its containers remember."""
    if pod is None:
        return container.grace
    asked = pod.metadata.deletion_grace_period_seconds
    return asked if pod.metadata.deletion_timestamp and asked is not None else grace_of(pod)


def grace_of(pod: Pod) -> int:
    seconds = pod.spec.termination_grace_period_seconds
    return DEFAULT_GRACE if seconds is None else seconds


def pre_stop_of(pod: Pod | None, name: str) -> Handler | None:
    """What a container of the pod asks for before it is ended; a pod that was removed by force is not asked."""
    specs: Sequence[Spec] = () if pod is None else pod.spec.containers
    lifecycle = next((spec.lifecycle for spec in specs if spec.name == name), None)
    return lifecycle.pre_stop if lifecycle else None


def end(decided: Plan, pod: Pod | None, container: Container, cause: str, memory: Memory, now: float) -> None:
    """The next step of a container's end. The pause container has nothing to put in order."""
    grace = float(grace_period(pod, container))
    gently = grace > 0 and container.name != PAUSE
    since = memory.signalled.get(container.id)
    if gently and since is None and (hook := pre_stop_of(pod, container.name)) is not None:
        run = memory.hooks.get(container.id)
        if run is None:
            decided.actions.append(PreStop(container, hook, grace, cause))
            return
        if run.running and now < run.began + grace:
            decided.due = min(decided.due, run.began + grace)
            return
    if gently and (run := memory.hooks.get(container.id)) is not None:
        grace = max(LEAST_GRACE, grace - ((run.ended or now) - run.began))
    _signal(decided, container, grace if gently else 0.0, cause, since, now)


def _signal(decided: Plan, container: Container, grace: float, cause: str, since: float | None, now: float) -> None:
    patience = grace or KILL_AGAIN
    if since is None:
        decided.actions.append(Signal(container, "SIGTERM" if grace else "SIGKILL", cause))
    elif now >= since + patience:
        decided.actions.append(Signal(container, "SIGKILL", f"{cause}; still there after {patience:.0f} s"))
    else:
        decided.due = min(decided.due, since + patience)


def dismantle(pod: Pod | None, containers: Sequence[Container], memory: Memory, now: float) -> Plan:
    """Take a pod apart: the containers first, then the pause container under them, then what is left of all."""
    decided = Plan(gone=not containers)
    cause = "the pod is gone" if pod is None else "the pod is to be deleted"
    apps = [container for container in containers if container.running and container.name != PAUSE]
    pauses = [container for container in containers if container.running and container.name == PAUSE]
    for container in apps or pauses:
        end(decided, pod, container, cause, memory, now)
    if not apps and not pauses:
        decided.actions += [Remove(container, cause) for container in containers]
    return decided
