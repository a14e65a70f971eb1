"""When a node is given up and when its pods are, with literals."""

import argparse

import pytest

from labkit.api.types import Condition, Node, NodeStatus, ObjectMeta
from labkit.client.flags import seconds
from labkit.components.kube_controller_manager.main import arguments, timing_of
from labkit.components.kube_controller_manager.node_controller import (
    NEVER,
    STOPPED,
    Heard,
    Ration,
    Timing,
    Verdict,
    judge,
    most_are_away,
    ready_condition,
    with_unknown,
)

HISTORIC = Timing()


def node(ready: str | None, heartbeat: str = "2015-06-01T00:00:00Z") -> Node:
    conditions = [Condition(type="Ready", status=ready, last_heartbeat_time=heartbeat)] if ready else []
    meta = ObjectMeta(name="agent1", creation_timestamp="2015-05-01T00:00:00Z")
    return Node(metadata=meta, status=NodeStatus(conditions=conditions))


@pytest.mark.parametrize(
    ("ready", "silent", "unready", "verdict"),
    [
        ("True", 39, 0, Verdict()),
        ("True", 41, 0, Verdict(unknown=STOPPED)),
        ("False", 41, 41, Verdict(unknown=STOPPED)),
        ("Unknown", 41, 0, Verdict()),
        ("Unknown", 259, 0, Verdict()),
        ("Unknown", 261, 0, Verdict(evict=True)),  # 5 minutes minus the grace: golden/node-failure, t=260.6
        ("False", 5, 299, Verdict()),
        ("False", 5, 301, Verdict(evict=True)),
        (None, 59, 0, Verdict()),
        (None, 61, 0, Verdict(unknown=NEVER)),
    ],
)
def test_judge_with_the_historic_timing(ready: str | None, silent: float, unready: float, verdict: Verdict) -> None:
    assert judge(node(ready), silent, unready, HISTORIC) == verdict


def test_a_node_is_not_emptied_before_it_is_given_up() -> None:
    hasty = Timing(grace=10, eviction_timeout=12)
    assert judge(node("Unknown"), 9, 0, hasty) == Verdict()
    assert judge(node("Unknown"), 11, 0, hasty) == Verdict(evict=True)


def test_silence_is_time_without_a_new_heartbeat() -> None:
    heard = Heard()
    heard.listen(node("True", "10:00:00"), 5)
    heard.listen(node("True", "10:00:00"), 5)
    heard.listen(node("True", "10:00:00"), 5)
    assert heard.silent == 10
    heard.listen(node("True", "09:00:00"), 5)  # a clock that was set back is a sign of life
    assert heard.silent == 0


def test_unready_is_time_spent_saying_so() -> None:
    heard = Heard()
    for beat in "12":
        heard.listen(node("False", beat), 5)
    assert (heard.unready, heard.silent) == (10, 0)
    heard.listen(node("True", "3"), 5)
    assert heard.unready == 0


def test_unknown_keeps_the_last_heartbeat_and_the_other_conditions() -> None:
    before = node("True")
    before.status.conditions.append(Condition(type="Other", status="True"))
    after = with_unknown(before, STOPPED, "2015-06-01T00:01:00Z")
    ready = ready_condition(after)
    assert ready is not None
    assert (ready.status, ready.reason) == ("Unknown", STOPPED)
    assert (ready.last_heartbeat_time, ready.last_transition_time) == ("2015-06-01T00:00:00Z", "2015-06-01T00:01:00Z")
    assert [condition.type for condition in after.status.conditions] == ["Other", "Ready"]
    assert before.status.conditions[0].status == "True"


@pytest.mark.parametrize(
    ("said", "away"),
    [
        ([], False),
        (["True"], False),
        (["Unknown"], True),  # nowhere to go
        (["True", "Unknown"], False),
        (["Unknown", "False"], True),
        (["True", "Unknown", "Unknown"], False),  # two may well be dead
        (["True", "True", "Unknown", "Unknown", "Unknown"], True),
        (["True"] * 3 + ["Unknown"] * 3, False),
        (["True"] * 45 + ["Unknown"] * 55, True),
        ([None, "Unknown"], True),  # who never spoke is neither
    ],
)
def test_too_many_away_to_be_true(said: list[str | None], away: bool) -> None:
    assert most_are_away([node(ready) for ready in said]) is away


def test_evictions_are_rationed() -> None:
    ration = Ration(qps=0.1, burst=2)
    assert [ration.take(), ration.take(), ration.take()] == [True, True, False]
    ration.passes(9)
    assert not ration.take()
    ration.passes(1)
    assert ration.take()
    ration.passes(1000)
    assert [ration.take(), ration.take(), ration.take()] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("40s", 40), ("5m", 300), ("1m30s", 90), ("500ms", 0.5), ("7", 7), ("2.5", 2.5), ("5m0s", 300)],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5x", "s", "5 m", "-1s", "m5"])
def test_bad_times(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a time such as 40s"):
        seconds(text)


def test_the_defaults_are_historic() -> None:
    assert timing_of(arguments().parse_args(["--kubeconfig", "x"])) == HISTORIC
