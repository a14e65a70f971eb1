"""What is asked of the machines, and what is made of their answers."""

import io
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from labkit.api.types import (
    Event,
    EventSource,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Pod,
    ReplicationController,
    Service,
    ServiceSpec,
)
from labkit.cluster import Machine
from labkit.observe.story import audit, follow, gather, journals, show, target
from labkit.observe.story.lines import parse_all
from labkit.observe.story.objects import Objects, understand
from labkit.observe.story.tell import tell
from labkit.observe.story.told import Known
from labkit.provision.channel import Result
from labkit.provision.errors import CommandFailed, Unreachable
from tests.unit.observe import lab
from tests.unit.observe import story_lines as recorded
from tests.unit.observe.story_lines import POD, RC, SERVICE, line, saw, stored


class Computer:
    """A machine: runs what it is told in a shell whose journalctl prints a file, and remembers it."""

    def __init__(self, folder: Path, text: str, away: bool = False) -> None:
        self.commands: list[str] = []
        self.away = away
        folder.mkdir()
        (folder / "journal").write_text(text)
        script = folder / "journalctl"
        script.write_text(
            '#!/bin/sh\ncase "$*" in *short-unix*) echo "1795393000.250000 master x[1]: {}";; esac\n'
            f"cat {folder}/journal\n"
        )
        script.chmod(0o755)
        self.folder = folder

    def run(
        self, command: str, timeout: float = 60, check: bool = True, input: bytes | str | None = None, *,
        what: str = "", on_line: Callable[[str], None] | None = None,
    ) -> Result:  # fmt: skip
        if self.away:
            raise Unreachable("agent1", "an SSH connection", "ssh", None, "nothing listens: is the machine down?")
        self.commands.append(command)
        done = subprocess.run(
            ["sh", "-c", f"PATH={self.folder}:$PATH; {command.replace(audit.FILE, str(self.folder / 'audit.log'))}"],
            input=input, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise CommandFailed("machine", what, command, done.returncode, done.stderr)
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def machines(tmp_path: Path) -> dict[str, Computer]:
    noise = "Started kubelet.service.\n" + line(1, "kubelet", "start container", object="pods/default/other") + "\n"
    return {name: Computer(tmp_path / name, noise + "\n".join(texts) + "\n")
            for name, texts in recorded.journals().items()}  # fmt: skip


def gathered(machines: dict[str, Computer], word: str, there: Objects | None = None) -> Known:
    def reach(machine: Machine) -> AbstractContextManager[Computer]:
        return nullcontext(machines[machine.name])

    with ThreadPoolExecutor(4) as pool, journals.Journals(lab(), reach, "", pool) as read:
        return gather._gathered(target.parse(word), read, there or Objects(True), read.oldest())


def test_names_are_learnt_on_the_way_until_nothing_new_comes(machines: dict[str, Computer]) -> None:
    known = gathered(machines, "rc/redis-master")
    assert known.related == [SERVICE]  # nobody said so: Endpoints were written because of its pod
    story = tell(known)
    assert {hop.component for hop in story.chapters[0].hops} >= {"kubelet", "kube-proxy", "kube-dns", "etcd"}
    assert [hop for hop in story.chapters[0].hops if hop.function == "Cache.apply"]
    assert not [each for each in known.lines if each.object == "pods/default/other"]
    assert known.began == {"master": 1795393000250000, "agent1": 1795393000250000, "agent2": 1795393000250000}


def test_a_machine_that_is_away_is_named_and_the_rest_is_told(machines: dict[str, Computer]) -> None:
    machines["agent1"].away = True
    story = tell(gathered(machines, "rc/redis-master"))
    assert story.found
    assert story.notes == ["agent1 cannot be asked, its part is missing: nothing listens: is the machine down?"]
    machines["master"].away = True
    with pytest.raises(CommandFailed):
        gathered(machines, "rc/redis-master")


def test_what_the_journals_have_lost_begins_with_the_objects_own_date(machines: dict[str, Computer]) -> None:
    there = Objects(exists=True, created=1_795_300_000_000_000)
    story = tell(gathered(machines, "service/other", there))
    (hop,) = story.chapters[0].hops
    assert hop.text == "service other was created: so says its metadata.creationTimestamp"
    assert "rotated away" in story.notes[0]


def test_names_reach_the_machine_as_data_never_as_commands(machines: dict[str, Computer]) -> None:
    gathered(machines, "rc/redis-master")
    asked = machines["agent1"].commands
    assert asked
    assert not [command for command in asked if "redis" in command]


def test_refused_requests_are_told_from_the_audit_log(machines: dict[str, Computer]) -> None:
    entry = {
        "verb": "update", "user": {"username": "eve"}, "userAgent": "kubectl/v1.20.2 (linux)", "auditID": "ab-12",
        "responseStatus": {"code": 409}, "requestReceivedTimestamp": "2026-11-23T01:02:48.000000Z",
        "sourceIPs": ["10.245.1.1"], "objectRef": {"resource": "replicationcontrollers", "namespace": "default",
                                                   "name": "redis-master"},
    }  # fmt: skip
    others = [
        entry | {"verb": "get"}, entry | {"responseStatus": {"code": 200}}, entry | {"objectRef": None}, {},
        entry | {"objectRef": {"resource": "secrets", "namespace": "default", "name": "redis-master"}},
    ]  # fmt: skip
    text = "\n".join(json.dumps(each, separators=(",", ":")) for each in [*others, entry]) + "\nnot JSON\n"
    (machines["master"].folder / "audit.log").write_text(text)
    hops = tell(gathered(machines, "rc/redis-master")).chapters[-1].hops
    (refused,) = [hop for hop in hops if hop.decision == audit.REFUSED]
    assert refused.text == "PUT by eve with kubectl from 10.245.1.1: rc redis-master is refused with 409"
    assert (refused.function, refused.file) == ("audit log", "ab-12")


def test_whose_pods_and_which_services_by_what_kube_apiserver_has() -> None:
    meta = ObjectMeta(name="redis-master", namespace="default", uid="u1", creation_timestamp="2026-11-23T00:30:00Z")
    owner = ReplicationController(metadata=meta)
    by_reference, by_annotation, stranger = (
        Pod(metadata=ObjectMeta(name=name, namespace="default", labels={"a": "b"}, **more))  # type: ignore[arg-type]
        for name, more in (
            ("one", {"owner_references": [OwnerReference(uid="u1")]}),
            ("two", {"annotations": {"kubernetes.io/created-by": '{"reference":{"uid":"u1"}}'}}),
            ("three", {}),
        )
    )
    services = [Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(selector=selector))
                for name, selector in (("web", {"a": "b"}), ("other", {"a": "c"}), ("none", {}))]  # fmt: skip
    about = ObjectReference(kind="Pod", namespace="default", name="one")
    source, message = EventSource(component="kubelet", host="a"), f"id {'0123456789ab' + 'f' * 52}\x1b[2J"
    events = [Event(metadata=ObjectMeta(name="e"), involved_object=about, reason="created", count=3, message=message,
                    source=source)]  # fmt: skip
    found = understand(
        target.parse("rc/redis-master"), owner, [by_reference, by_annotation, stranger], services, events
    )
    assert found.owned == ["pods/default/one", "pods/default/two"]
    assert found.related == ["services/default/web"]
    assert (found.exists, found.created) == (True, 1795393800000000)
    (said,) = found.said
    assert (said.message, said.source, said.count) == ("id 0123456789ab\\x1b[2J", "kubelet on a", 3)
    assert not understand(target.parse("rc/x"), None, [stranger], services, events).owned


def test_a_since_that_is_no_time_is_refused_with_what_journalctl_said(machines: dict[str, Computer]) -> None:
    script = machines["master"].folder / "journalctl"
    script.write_text('#!/bin/sh\necho "Failed to parse timestamp: soon" >&2; exit 1\n')
    reach = lambda machine: nullcontext(machines[machine.name])  # noqa: E731
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(target.Unclear, match=r"Failed to parse timestamp: soon.*10 min ago"):
            journals.Journals(lab(), reach, "soon", pool).check()
        journals.Journals(lab(), reach, "", pool).check()


def test_a_shorter_name_finds_the_longer_ones() -> None:
    names = [f"pods/default/web-{number}" for number in range(5000)]
    assert journals.patterns([*names, "services/default/web", "pods/default/we", "nodes/a"]) == [
        "/default/we",
        "nodes/a",
    ]


def test_times_that_lie_together_are_asked_for_together() -> None:
    second = 1_000_000
    assert journals.windows([]) == []
    assert journals.windows([10 * second, 11 * second, 60 * second]) == [
        (9 * second, 12 * second),
        (59 * second, 61 * second),
    ]
    assert journals.windows(range(0, 1000 * second, 10 * second)) == [(-second, 991 * second)]


@pytest.mark.parametrize(
    ("path", "text"), [("pods/default/x", "/default/x"), ("nodes/agent1", "nodes/agent1"), ("services/a/b", "/a/b")]
)
def test_what_is_looked_for(path: str, text: str) -> None:
    assert journals.pattern(path) == text


def test_a_story_that_goes_on_keeps_its_frame_open_or_is_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs = {"one": [stored(1_000_000, 5, RC), stored(2_000_000, 6, RC), stored(90_000_000, 7, RC)]}
    lines, _ = parse_all(logs)
    story = tell(Known(RC, lines, exists=True))
    news = [(chapter, hop) for chapter in story.chapters for hop in chapter.hops]
    out = io.StringIO()
    printer = show.Printer(Console(file=out, width=80), brief=True, json=False)
    printer.start(tell(Known(RC, [])))
    for each in news:
        printer.go_on([each])
    assert out.getvalue().count("┌ one · kube-apiserver") == 2  # a frame for each chapter
    assert out.getvalue().count("later") == 1
    show.Printer(Console(file=out), brief=True, json=True).start(story)
    told = [json.loads(text)["decision"] for text in capsys.readouterr().out.splitlines() if "decision" in text]
    assert told == ["updated"] * 3


def heard(live: follow.Live, now: float) -> list[str]:
    return [f"{hop.component}: {hop.decision or hop.function}" for _, hop in live.news(now)]


def test_live_hops_come_once_and_not_before_what_caused_them() -> None:
    live = follow.Live(Known(RC, []))
    live.hear("one", line(1_001_500, "kubelet", "start container", object=POD, cause="not there yet"))  # not yet ours
    live.hear("one", "no JSON")
    live.hear("one", stored(1_000_000, 5, RC))
    assert heard(live, 10.0) == []
    late = line(
        1_001_000, "kube-controller-manager", "scale", object=RC, resourceVersion="5", way=[saw(1_000_100, RC, 5)]
    )
    live.hear("one", late)
    assert heard(live, 10.0 + follow.SETTLED) == [
        "kube-apiserver: update", "etcd: t", "kube-apiserver: updated"
    ]  # fmt: skip
    assert heard(live, 10.1 + follow.SETTLED) == []
    made = line(1_001_200, "kube-controller-manager", "created", object=POD, resourceVersion="6", cause=RC)
    live.hear("one", made)
    assert heard(live, 20.0) == ["kube-controller-manager: Informer._apply", "kube-controller-manager: scale"]
    assert heard(live, 21.0) == ["kube-controller-manager: created", "kubelet: start container"]
    assert heard(live, 30.0) == []


def test_live_does_not_repeat_what_was_told_at_the_start() -> None:
    logs = recorded.journals()
    lines, applied = parse_all(logs)
    live = follow.Live(Known(RC, lines, applied, related=[SERVICE]))
    for name, texts in logs.items():
        for text in texts:
            live.hear(name, text)
    assert live.news(1.0) == []
    assert live.news(9.0) == []
