"""The kubelet's decision, with literals: a pod and what docker shows of it in, actions out."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.types import ContainerStateWaiting, Pod
from labkit.components.kubelet.actions import Memory, Plan, Remove, Setback, Signal, Start, StartPause
from labkit.components.kubelet.plan import plan
from labkit.components.kubelet.runtime import PAUSE, Container
from tests.unit.components.kubelet.pods import container, pause, pod

DELETED = {"deletionTimestamp": "2026-11-22T10:00:00Z", "deletionGracePeriodSeconds": 5}


def decide(of: Pod | None, *containers: Container, now: float = 1000.0, **memory: object) -> Plan:
    return plan(of, containers, Memory(**memory), now)  # type: ignore[arg-type]


def starts(decided: Plan) -> list[tuple[str, int, float]]:
    return [(a.name, a.attempt, a.backoff) for a in decided.actions if isinstance(a, Start)]


def signals(decided: Plan) -> list[tuple[str, str, str]]:
    return [(a.container.id, a.signal, a.cause) for a in decided.actions if isinstance(a, Signal)]


def removed(decided: Plan) -> list[str]:
    return [a.container.id for a in decided.actions if isinstance(a, Remove)]


class TestStart:
    def test_a_new_pod_gets_its_pause_container_first(self) -> None:
        decided = decide(pod("a", "b"))
        assert decided.actions == [StartPause(0, 0.0, "pod has no pause container")]
        assert decided.waiting["a"] == ContainerStateWaiting(reason="ContainerCreating")

    def test_then_all_its_containers_in_their_order(self) -> None:
        p = pod("a", "b")
        assert starts(decide(p, pause(p))) == [("a", 0, 0.0), ("b", 0, 0.0)]

    def test_nothing_to_do(self) -> None:
        p = pod("a", "b")
        assert decide(p, pause(p), container(p, "a"), container(p, "b")) == Plan()

    def test_what_was_made_but_not_started_is_made_anew(self) -> None:
        """The kubelet or docker went away between create and start."""
        p = pod()
        half = container(p, state="created", id="half")
        decided = decide(p, pause(p), half)
        assert (starts(decided), removed(decided)) == ([("c", 0, 0.0)], ["half"])
        half = pause(p, "created", id="half")
        decided = decide(p, half)
        assert decided.actions[0] == StartPause(0, 0.0, "pod has no pause container")
        assert removed(decided) == ["half"]

    def test_a_setback_holds_it_back_until_its_time(self) -> None:
        p = pod("a", "b")
        setback = Setback("ErrImagePull", "no such host", 1010.0)
        decided = decide(p, pause(p), container(p, "b"), setbacks={"a": setback})
        assert decided.actions == []
        assert decided.waiting == {"a": ContainerStateWaiting(reason="ErrImagePull", message="no such host")}
        assert decided.due == 1010.0
        assert starts(decide(p, pause(p), container(p, "b"), setbacks={"a": setback}, now=1010.0)) == [("a", 0, 0.0)]

    def test_a_pause_container_is_held_back_too(self) -> None:
        decided = decide(pod(), setbacks={PAUSE: Setback("ContainerCreating", "pulling image pause", inf)})
        assert (decided.actions, decided.due) == ([], inf)
        assert decided.waiting["c"].message == "pulling image pause"

    def test_restart_count_survives_a_container_that_somebody_removed(self) -> None:
        status = {"containerStatuses": [{"name": "c", "restartCount": 4, "containerID": "docker://x"}]}
        p = pod(status=status)
        assert starts(decide(p, pause(p))) == [("c", 5, 0.0)]


class TestRestart:
    @pytest.mark.parametrize(
        ("policy", "exit_code", "restarted"),
        [
            ("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
            ("Never", 0, False), ("Never", 1, False),
        ],
    )  # fmt: skip
    def test_by_restart_policy(self, policy: str, exit_code: int, restarted: bool) -> None:
        p = pod(restartPolicy=policy)
        decided = decide(p, pause(p), container(p, state="exited", exit_code=exit_code))
        assert starts(decided) == ([("c", 1, 10.0)] if restarted else [])

    def test_first_at_once_then_after_a_delay_that_doubles_to_five_minutes(self) -> None:
        p = pod()
        last = container(p, state="exited", exit_code=1)
        waits = []
        for _ in range(8):
            decided = decide(p, pause(p), last, now=110.0 + last.backoff)
            (action,) = (a for a in decided.actions if isinstance(a, Start))
            if last.backoff:
                early = decide(p, pause(p), last, now=109.9 + last.backoff)
                assert starts(early) == []
                assert early.due == 110.0 + last.backoff
                assert early.waiting["c"].reason == "CrashLoopBackOff"
            waits.append(last.backoff)
            last = container(p, state="exited", exit_code=1, attempt=action.attempt, backoff=action.backoff)
        assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
        assert last.attempt == 8

    def test_the_message_says_who_waits(self) -> None:
        p = pod()
        decided = decide(p, pause(p), container(p, state="exited", backoff=40.0), now=120.0)
        message = "Back-off 40s restarting failed container=c pod=web_default(uid-web)"
        assert decided.waiting["c"] == ContainerStateWaiting(reason="CrashLoopBackOff", message=message)

    def test_ten_good_minutes_forget_the_crashes(self) -> None:
        p = pod()
        last = container(p, state="exited", backoff=300.0, finished=700.0, attempt=9)
        assert starts(decide(p, pause(p), last, now=700.0)) == [("c", 10, 0.0)]

    def test_a_container_that_cannot_start_backs_off_like_a_crash(self) -> None:
        p = pod()
        failed = container(p, state="created", error="no such file", exit_code=127, backoff=20.0, attempt=2)
        decided = decide(p, pause(p), failed, now=100.0)
        assert decided.waiting["c"] == ContainerStateWaiting(reason="RunContainerError", message="no such file")
        assert decided.due == 119.0
        assert starts(decide(p, pause(p), failed, now=119.0)) == [("c", 3, 40.0)]
        never = pod(restartPolicy="Never")
        assert starts(decide(never, pause(never), failed)) == []

    def test_a_changed_spec_is_a_new_container(self) -> None:
        p = pod(restartPolicy="Never")
        old = container(p, hash="0ld")
        assert signals(decide(p, pause(p), old)) == [("c-0", "SIGTERM", "its spec changed")]
        ended = container(p, state="exited", hash="0ld", exit_code=143)
        assert starts(decide(p, pause(p), ended, signalled={"c-0": 900.0})) == [("c", 1, 10.0)]
        assert starts(decide(p, pause(p), ended)) == []  # it had ended by itself: Never means never

    def test_an_unhealthy_container_is_ended_and_waits_as_after_a_crash(self) -> None:
        p = pod()
        decided = decide(p, pause(p), container(p), unhealthy={"c-0": "Liveness probe failed"})
        assert signals(decided) == [("c-0", "SIGTERM", "Liveness probe failed")]
        ended = container(p, state="exited", backoff=10.0)
        remembered = {"unhealthy": {"c-0": "x"}, "signalled": {"c-0": 105.0}}
        assert decide(p, pause(p), ended, now=111.0, **remembered).due == 120.0

    def test_a_container_that_is_not_in_the_spec_goes(self) -> None:
        p = pod()
        decided = decide(p, pause(p), container(p), container(p, "stranger"))
        assert signals(decided) == [("stranger-0", "SIGTERM", "not in the pod's spec")]

    def test_of_two_that_run_the_newer_stays(self) -> None:
        p = pod()
        decided = decide(p, pause(p), container(p, id="old"), container(p, id="new", created=150.0))
        assert signals(decided) == [("old", "SIGTERM", "a newer one runs")]


class TestEnd:
    def test_a_pod_whose_containers_have_all_ended_needs_no_address(self) -> None:
        p = pod("a", "b", restartPolicy="Never")
        one = decide(p, pause(p), container(p, "a", "exited"), container(p, "b"))
        assert one.actions == []
        both = decide(p, pause(p), container(p, "a", "exited"), container(p, "b", "exited", exit_code=1))
        assert signals(both) == [("POD-0", "SIGKILL", "all containers of the pod have ended")]
        assert decide(p, pause(p, "exited"), container(p, "a", "exited"), container(p, "b", "exited")).actions == []

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    def test_an_ended_pod_never_starts_again(self, phase: str) -> None:
        p = pod(status={"phase": phase})
        assert decide(p).actions == []
        assert signals(decide(p, pause(p), container(p)))[0] == (
            "POD-0",
            "SIGKILL",
            "all containers of the pod have ended",
        )

    def test_sigterm_then_sigkill_after_the_grace_period(self) -> None:
        p = pod(metadata=DELETED)
        running = (pause(p), container(p))
        assert signals(decide(p, *running)) == [("c-0", "SIGTERM", "the pod is to be deleted")]
        patient = decide(p, *running, signalled={"c-0": 998.0})
        assert (patient.actions, patient.due) == ([], 1003.0)
        assert signals(decide(p, *running, signalled={"c-0": 995.0})) == [
            ("c-0", "SIGKILL", "the pod is to be deleted; still there after 5 s")
        ]

    def test_the_grace_period_is_the_deletion_s_then_the_spec_s_then_30_s(self) -> None:
        asked, unasked = DELETED, {"deletionTimestamp": DELETED["deletionTimestamp"]}
        p = pod(metadata=asked, terminationGracePeriodSeconds=60)
        assert decide(p, container(p), signalled={"c-0": 1000.0}).due == 1005.0
        p = pod(metadata=unasked, terminationGracePeriodSeconds=60)
        assert decide(p, container(p), signalled={"c-0": 1000.0}).due == 1060.0
        p = pod(metadata=unasked)
        assert decide(p, container(p), signalled={"c-0": 1000.0}).due == 1030.0
        assert decide(None, container(p, grace=7), signalled={"c-0": 1000.0}).due == 1007.0

    def test_without_grace_sigkill_at_once(self) -> None:
        p = pod(metadata=DELETED | {"deletionGracePeriodSeconds": 0})
        assert signals(decide(p, container(p))) == [("c-0", "SIGKILL", "the pod is to be deleted")]

    def test_the_pause_container_goes_last_and_then_all_that_is_left(self) -> None:
        p = pod(metadata=DELETED)
        assert signals(decide(p, pause(p), container(p)))[0][0] == "c-0"
        ended = container(p, state="exited")
        assert signals(decide(p, pause(p), ended)) == [("POD-0", "SIGKILL", "the pod is to be deleted")]
        last = decide(p, pause(p, "exited"), ended)
        assert (removed(last), last.gone) == (["POD-0", "c-0"], False)
        assert decide(p) == Plan(gone=True)

    def test_a_pod_that_vanished_is_taken_apart_as_well(self) -> None:
        p = pod()
        assert signals(decide(None, pause(p), container(p))) == [("c-0", "SIGTERM", "the pod is gone")]
        assert decide(None).gone


class TestPauseDied:
    """Its containers run on, but have lost their network: the pod is rebuilt."""

    def test_what_runs_is_ended_first(self) -> None:
        p = pod()
        decided = decide(p, pause(p, "exited"), container(p))
        assert decided.actions == [Signal(container(p), "SIGTERM", "the pause container died")]

    def test_then_everything_starts_anew_without_back_off(self) -> None:
        p = pod()
        ended = container(p, state="exited", exit_code=137, finished=111.0, backoff=40.0)
        decided = decide(p, pause(p, "exited"), ended, now=112.0)
        assert decided.actions[0] == StartPause(1, 10.0, "the pause container died")
        rebuilt = pause(p, created=112.5, attempt=1, backoff=10.0)
        assert starts(decide(p, rebuilt, ended, now=112.6)) == [("c", 1, 80.0)]

    def test_a_pause_container_that_dies_again_and_again_is_waited_for(self) -> None:
        p = pod()
        dead = pause(p, "exited", backoff=20.0, attempt=2)
        decided = decide(p, dead, now=111.0)
        assert (decided.actions, decided.due) == ([], 130.0)
        assert decide(p, dead, now=130.0).actions[0] == StartPause(3, 40.0, "the pause container died")

    def test_why_it_cannot_start_is_said(self) -> None:
        p = pod()
        dead = pause(p, "created", error="port is already allocated", backoff=10.0)
        assert decide(p, dead, now=100.0).waiting["c"].message == "port is already allocated"

    def test_after_a_reboot_every_pod_is_rebuilt(self) -> None:
        p = pod("a", "b")
        dead = (pause(p, "exited"), container(p, "a", "exited", exit_code=137), container(p, "b", "exited"))
        assert isinstance(decide(p, *dead).actions[0], StartPause)

    def test_but_not_one_that_never_restarts(self) -> None:
        p = pod(restartPolicy="Never")
        assert decide(p, pause(p, "exited"), container(p, state="exited", exit_code=137)).actions == []

    def test_on_failure_means_again_for_what_we_ended(self) -> None:
        p = pod(restartPolicy="OnFailure")
        ended = container(p, state="exited", exit_code=0)
        assert starts(decide(p, pause(p, created=120.0), ended, signalled={"c-0": 109.0})) == [("c", 1, 10.0)]


class TestRemains:
    def test_what_has_ended_stays_for_people_to_read(self) -> None:
        """Until collector.py comes."""
        p = pod()
        dead = [container(p, state="exited", attempt=n, created=100.0 + n, backoff=300.0) for n in range(4)]
        assert removed(decide(p, pause(p), *dead, now=200.0)) == []

    def test_old_pause_containers_go(self) -> None:
        p = pod()
        old, new = pause(p, "exited", id="old"), pause(p, id="new", created=120.0)
        assert removed(decide(p, old, new, container(p, created=121.0))) == ["old"]


# -- a pod and docker, played against each other ----------------------------------------------------------------------

states = st.sampled_from(["running", "exited", "created"])


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", PAUSE]), states, st.integers(0, 2), st.booleans()), max_size=8),
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.booleans(),
)
def test_from_any_state_it_comes_to_rest(found: list[tuple[str, str, int, bool]], policy: str, deleted: bool) -> None:
    """Doing what the plan says, with time passing, ends in a state with nothing to do; and it is the right one."""
    p = pod("a", "b", restartPolicy=policy, metadata=DELETED if deleted else {})
    world = {
        f"{name}-{n}": container(
            p, name, state, id=f"{name}-{n}", created=10.0 * n, started=10.0 * n + 1, exit_code=code,
            finished=10.0 * n + 5 if state == "exited" else 0.0, error="no" if broken and state == "created" else "",
        )
        for n, (name, state, code, broken) in enumerate(found)
    }  # fmt: skip
    memory, now = Memory(), 1000.0
    for step in range(100):
        decided = plan(p, sorted(world.values(), key=lambda c: c.created), memory, now)
        if not decided.actions and decided.due == inf:
            break
        if not decided.actions:
            now = max(now, decided.due)
        for action in decided.actions:
            now += 1.0
            match action:
                case StartPause():
                    world[f"new-{step}"] = pause(p, id=f"new-{step}", created=now)
                case Start(name):
                    new = f"new-{name}-{step}"
                    world[new] = container(p, name, id=new, created=now, attempt=action.attempt)
                case Signal(c):
                    world[c.id] = container(
                        p, c.name, "exited", id=c.id, created=c.created, exit_code=137, finished=now
                    )
                    memory.signalled[c.id] = now
                case Remove(c):
                    del world[c.id]
    else:
        pytest.fail("never at rest")
    running = sorted(c.name for c in world.values() if c.running)
    if deleted:
        assert (world, decided.gone) == ({}, True)
    elif policy == "Always":
        assert running == [PAUSE, "a", "b"]
    else:
        assert running in ([], [PAUSE, "a"], [PAUSE, "b"], [PAUSE, "a", "b"])
