"""What is said of a pod, from what docker shows."""

from typing import Any

import pytest

from labkit.api.types import ContainerStateWaiting, ContainerStatus, Pod, PodStatus
from labkit.components.kubelet.runtime import Container
from labkit.components.kubelet.status import Seen, status_of
from tests.unit.components.kubelet.pods import container, pause, pod


def say(of: Pod, *containers: Container, unready: frozenset[str] = frozenset(), **waiting: str) -> PodStatus:
    told = {name: ContainerStateWaiting(reason=reason) for name, reason in waiting.items()}
    return status_of(of, Seen(containers, told, unready), "10.245.1.12", 1000.0)


def only(status: PodStatus) -> ContainerStatus:
    (found,) = status.container_statuses
    return found


def conditions(status: PodStatus) -> dict[str, str]:
    return {condition.type: condition.status for condition in status.conditions}


def test_before_anything_runs() -> None:
    status = say(pod(), c="ContainerCreating")
    assert (status.phase, status.pod_ip, status.host_ip) == ("Pending", "", "10.245.1.12")
    assert status.start_time == "1970-01-01T00:16:40Z"
    assert only(status).state.waiting == ContainerStateWaiting(reason="ContainerCreating")
    assert (only(status).image, only(status).container_id, only(status).ready) == ("busybox", "", False)
    assert conditions(status) == {
        "Initialized": "True", "Ready": "False", "ContainersReady": "False", "PodScheduled": "True"
    }  # fmt: skip


def test_running() -> None:
    p = pod()
    status = say(p, pause(p), container(p, image_id="sha256:77", attempt=2))
    assert (status.phase, status.pod_ip) == ("Running", "10.244.2.5")
    told = only(status)
    assert told.state.running is not None
    assert told.state.running.started_at == "1970-01-01T00:01:40Z"
    assert (told.ready, told.restart_count) == (True, 2)
    assert (told.container_id, told.image_id) == ("docker://c-2", "docker://sha256:77")
    assert conditions(status)["Ready"] == conditions(status)["ContainersReady"] == "True"


def test_a_pod_on_the_host_s_network_has_its_address() -> None:
    p = pod(hostNetwork=True)
    assert say(p, pause(p, ip=""), container(p)).pod_ip == "10.245.1.12"
    assert say(p).pod_ip == ""


def test_the_end_of_a_container() -> None:
    p = pod(restartPolicy="Never")
    ended = container(p, state="exited", exit_code=3, message="last words\n")
    told = only(say(p, pause(p), ended)).state.terminated
    assert told is not None
    assert (told.exit_code, told.reason, told.message) == (3, "Error", "last words\n")
    assert (told.started_at, told.finished_at) == ("1970-01-01T00:01:40Z", "1970-01-01T00:01:50Z")
    assert told.container_id == "docker://c-0"


def test_completed_and_oom() -> None:
    p = pod(restartPolicy="Never")
    done = only(say(p, container(p, state="exited"))).state.terminated
    killed = only(say(p, container(p, state="exited", exit_code=137, oom_killed=True))).state.terminated
    assert done is not None
    assert killed is not None
    assert (done.reason, killed.reason) == ("Completed", "OOMKilled")


def test_waiting_for_its_next_try() -> None:
    p = pod()
    dead = [container(p, state="exited", exit_code=n, attempt=n, created=99.0 + n) for n in range(2)]
    status = say(p, pause(p), *dead, c="CrashLoopBackOff")
    told = only(status)
    assert status.phase == "Running"
    assert told.state.waiting is not None
    assert told.state.waiting.reason == "CrashLoopBackOff"
    assert told.last_state.terminated is not None
    assert told.last_state.terminated.exit_code == 1
    assert (told.restart_count, told.container_id) == (1, "docker://c-1")


def test_running_again_remembers_how_it_ended() -> None:
    p = pod()
    told = only(say(p, pause(p), container(p, state="exited", exit_code=5), container(p, attempt=1, created=120.0)))
    assert told.state.running is not None
    assert told.last_state.terminated is not None
    assert told.last_state.terminated.exit_code == 5


def test_a_command_that_cannot_run() -> None:
    """As recorded from the original: the pod stays Pending, and the count of tries grows."""
    p = pod()
    failed = container(p, state="created", error="no such file", exit_code=127, attempt=2)
    status = say(p, pause(p), failed, c="RunContainerError")
    assert (status.phase, only(status).restart_count) == ("Pending", 2)
    assert only(status).last_state.terminated is None
    never = pod(restartPolicy="Never")
    status = say(never, pause(never), failed)
    told = only(status).state.terminated
    assert told is not None
    assert (status.phase, told.reason, told.message, told.exit_code) == (
        "Failed", "ContainerCannotRun", "no such file", 127
    )  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "exits", "phase"),
    [
        ("Never", (0, 0), "Succeeded"), ("Never", (0, 1), "Failed"), ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"), ("Always", (0, 0), "Running"), ("Never", (0, None), "Running"),
    ],
)  # fmt: skip
def test_phases(policy: str, exits: tuple[int | None, ...], phase: str) -> None:
    p = pod("a", "b", restartPolicy=policy)
    seen = [
        container(p, name) if code is None else container(p, name, "exited", exit_code=code)
        for name, code in zip("ab", exits, strict=True)
    ]
    assert say(p, pause(p), *seen).phase == phase


def test_one_that_never_ran_keeps_the_pod_pending() -> None:
    p = pod("a", "b")
    status = say(p, pause(p), container(p, "a"), b="ErrImagePull")
    assert status.phase == "Pending"
    ready = next(c for c in status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason, ready.message) == (
        "False", "ContainersNotReady", "containers with unready status: [b]"
    )  # fmt: skip


def test_an_ended_pod_stays_what_it_is() -> None:
    """Even when its containers have been cleared away."""
    p = pod(restartPolicy="Never")
    p.status = say(p, container(p, state="exited"))
    assert p.status.phase == "Succeeded"
    assert next(c for c in p.status.conditions if c.type == "Ready").reason == "PodCompleted"
    assert say(p) == p.status


def test_containers_that_somebody_removed_keep_their_count() -> None:
    p = pod()
    p.status = say(p, pause(p), container(p, attempt=4))
    p.status = say(p, c="ContainerCreating")
    told = only(p.status)
    assert (told.ready, told.restart_count, told.container_id) == (False, 4, "docker://c-4")
    assert p.status.phase == "Pending"
    assert only(say(p, pause(p), c="ContainerCreating")).restart_count == 4


def test_a_failed_readiness_probe_only_unreadies() -> None:
    p = pod()
    status = say(p, pause(p), container(p), unready=frozenset({"c-0"}))
    assert (status.phase, only(status).ready) == ("Running", False)


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    p = pod()
    p.status = say(p, c="ContainerCreating")
    later = status_of(p, Seen([pause(p), container(p)]), "10.245.1.12", 2000.0)
    since: dict[str, Any] = {c.type: c.last_transition_time for c in later.conditions}
    assert since == {
        "Initialized": "1970-01-01T00:16:40Z", "Ready": "1970-01-01T00:33:20Z",
        "ContainersReady": "1970-01-01T00:33:20Z", "PodScheduled": "1970-01-01T00:16:40Z",
    }  # fmt: skip
    assert later.start_time == "1970-01-01T00:16:40Z"
    p.status = later
    assert status_of(p, Seen([pause(p), container(p)]), "10.245.1.12", 3000.0) == later  # nothing new to write
