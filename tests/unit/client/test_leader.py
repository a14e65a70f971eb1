"""Who may take a lease, and what it says then: the decisions of leader election."""

import argparse

import pytest

from labkit.api.types import Lease, LeaseSpec, ObjectMeta
from labkit.client.flags import add_leader_election, election
from labkit.client.leader import may_take, taken
from labkit.client.rest import Client

EARLIER, NOW = "2015-07-21T10:00:00.000000Z", "2015-07-21T10:00:05.000000Z"


def lease(holder: str, duration: int | None = 15, transitions: int = 3) -> Lease:
    spec = LeaseSpec(
        holder_identity=holder, lease_duration_seconds=duration, acquire_time=EARLIER, renew_time=EARLIER,
        lease_transitions=transitions,
    )  # fmt: skip
    return Lease(metadata=ObjectMeta(name="x", namespace="kube-system", uid="u", resource_version="7"), spec=spec)


@pytest.mark.parametrize(
    ("there", "silent", "may"),
    [
        (None, 0, True),
        (lease(""), 0, True),  # given back
        (lease("me"), 0, True),
        (lease("other"), 0, False),
        (lease("other"), 14.9, False),
        (lease("other"), 15, True),
        (lease("other", duration=None), 0, True),  # it promises nothing
    ],
)
def test_who_may_take_it(there: Lease | None, silent: float, may: bool) -> None:
    assert may_take(there, "me", silent) is may


def test_what_it_says_then() -> None:
    renewed = taken(lease("me"), "me", 15, NOW).spec
    assert (renewed.acquire_time, renewed.renew_time, renewed.lease_transitions) == (EARLIER, NOW, 3)
    won = taken(lease("other"), "me", 15, NOW)
    assert (won.spec.holder_identity, won.spec.acquire_time, won.spec.lease_transitions) == ("me", NOW, 4)
    assert won.metadata.resource_version == "7"  # the write is a compare-and-swap
    first = taken(Lease(metadata=ObjectMeta(name="x")), "me", 0.4, NOW).spec
    assert (first.lease_duration_seconds, first.lease_transitions) == (1, 0)


@pytest.mark.parametrize("words", [["15s", "15s", "2s"], ["15s", "10s", "10s"], ["3s", "2s", "0s"]])
def test_times_with_which_two_could_lead_are_refused(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_leader_election(parser)
    flags = ("--leader-elect-lease-duration", "--leader-elect-renew-deadline", "--leader-elect-retry-period")
    given = ["--leader-elect", *(f"{flag}={word}" for flag, word in zip(flags, words, strict=True))]
    with pytest.raises(ValueError, match="expected more than --leader-elect-renew-deadline"):
        election(Client("http://127.0.0.1:1"), parser.parse_args(given), "x")
    assert election(Client("http://127.0.0.1:1"), parser.parse_args(given[1:]), "x") is None
