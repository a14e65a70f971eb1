"""An action that fails on a machine says what its services said last, and what the machine has run out of."""

from typing import cast

import pytest

from labkit import cluster as clusters
from labkit.provision import crew, facts, journal
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.facts import Facts
from labkit.provision.plan import Action
from labkit.provision.ssh import Ssh

ACTION = Action("start etcd", "systemctl restart etcd", units=("etcd",))


class Failing:
    """A machine on which no command comes to its end."""

    machine = clusters.Machine(name="master", roles=["master"], address="10.245.1.11", pod_subnet=1)

    def run(self, command: str, **_: object) -> None:
        raise TimedOut("master", "start etcd", 90, command, "no word")


def failure(monkeypatch: pytest.MonkeyPatch, now: Facts | None, words: str) -> CommandFailed:
    def gather(*_: object, **__: object) -> Facts:
        if now is None:
            raise CommandFailed("master", "looking at the machine")
        return now

    monkeypatch.setattr(facts, "gather", gather)
    monkeypatch.setattr(journal, "last_words", lambda ssh, units: words)
    with pytest.raises(CommandFailed) as caught:
        crew.act(cast(Ssh, Failing()), ACTION)
    return caught.value


def test_a_machine_without_memory_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = str(failure(monkeypatch, Facts(memory_used=250 << 20, memory_allowed=256 << 20), ""))
    assert "master: start etcd within 90 s failed" in said
    assert "  | no word\n  | master is out of memory: it uses 250 of 256 MB" in said
    assert "raise the machine's memoryMB in cluster.json" in said
    assert "it goes on where it stopped" in said


@pytest.mark.parametrize("now", [None, Facts(memory_used=100 << 20, memory_allowed=256 << 20), Facts()])
def test_otherwise_it_is_not(monkeypatch: pytest.MonkeyPatch, now: Facts | None) -> None:
    assert failure(monkeypatch, now, "").tail == "no word"
    assert failure(monkeypatch, now, "etcd's last word").tail == "etcd's last word"
