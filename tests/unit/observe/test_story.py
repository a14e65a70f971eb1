"""A story is told from journals: in the order of cause and effect, whatever else is in them."""

import io
import re

import pytest
from rich.console import Console

from labkit.observe.story import picture, target
from labkit.observe.story.lines import Line, clean, parse, parse_all
from labkit.observe.story.tell import tell
from labkit.observe.story.told import Child, Story
from tests.unit.observe.story_lines import POD, RC, SERVICE, journals, known, line, saw, shifted, stored

TABLE = [
    ("kube-apiserver", "Resources.create"), ("etcd", "_transaction"), ("kube-apiserver", "Cache.apply"),
    ("kube-apiserver", "Follower.tell"), ("kube-controller-manager", "Informer._apply"),
    ("kube-controller-manager", "WorkQueue.get"), ("kube-controller-manager", "plan"),
    ("kube-apiserver", "Resources.create"), ("kube-scheduler", "Informer._apply"), ("kube-scheduler", "schedule"),
    ("kube-apiserver", "bind"), ("etcd", "_transaction"), ("kubelet", "Informer._apply"), ("kubelet", "plan"),
    ("kubelet", "Docker.create"), ("kubelet", "Docker.start"), ("kube-apiserver", "status"),
    ("kubelet", "Reports._write"), ("kube-controller-manager", "subsets"), ("kube-proxy", "addresses"),
]  # fmt: skip
"""The table of DESIGN.md, section 2, from the POST of a controller to the proxies."""


ENDPOINTS = "endpoints/default/redis-master"


def in_order(story: Story, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of `wanted` is missing in the story's order; empty when all is there."""
    hops = iter([(hop.component, hop.function) for chapter in story.chapters for hop in chapter.hops])
    return [each for each in wanted if each not in hops]


def printed(story: Story, width: int = 80, **options: bool) -> str:
    out = io.StringIO()
    picture.draw(story, Console(file=out, width=width), **options)
    return out.getvalue()


def test_every_hop_of_the_table_in_its_order() -> None:
    story = tell(known(journals()))
    assert not in_order(story, TABLE)
    assert {hop.machine for hop in story.chapters[0].hops} == {"master", "agent1", "agent2"}
    assert not [hop for hop in story.chapters[0].hops if hop.moved]
    assert not story.notes


def test_no_hop_comes_before_its_cause_and_each_names_a_function_of_the_source() -> None:
    (chapter,) = tell(known(journals())).chapters
    times = {hop.number: hop.time for hop in chapter.hops}
    assert all(times[cause] <= hop.time and cause < hop.number for hop in chapter.hops for cause in hop.after)
    assert [hop.milliseconds for hop in chapter.hops] == sorted(hop.milliseconds for hop in chapter.hops)
    assert all(re.fullmatch(r"labkit/\S+\.py", hop.file) and hop.line and hop.function for hop in chapter.hops)


def test_what_the_service_caused_is_part_of_the_story_of_what_it_selects() -> None:
    hops = tell(known(journals())).chapters[0].hops
    assert [hop for hop in hops if hop.component == "kube-dns" and "10.0.0.11" in hop.text]
    assert {hop.machine for hop in hops if hop.decision == "rule added"} == {"master", "agent1", "agent2"}


def test_the_story_of_a_pod_leaves_the_controllers_out() -> None:
    hops = tell(known(journals(), POD)).chapters[0].hops
    assert {hop.object for hop in hops} == {POD, SERVICE, ENDPOINTS}
    assert not in_order(tell(known(journals(), POD)), TABLE[7:])


def test_the_story_of_a_service_is_its_endpoints_rules_and_records() -> None:
    hops = tell(known(journals(), SERVICE, related=[])).chapters[0].hops
    assert {hop.component for hop in hops} >= {"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-dns"}
    assert not [hop for hop in hops if hop.object.startswith(("pods/", "replicationcontrollers/"))]


def test_the_story_of_endpoints_is_who_wrote_them_why_and_who_heard_of_it() -> None:
    hops = tell(known(journals(), ENDPOINTS, related=[])).chapters[0].hops
    wrote = [hop for hop in hops if hop.component == "kube-controller-manager" and hop.decision == "endpoints"]
    assert [hop.function for hop in wrote] == ["subsets"] * 3
    assert [hop.text.partition(": ")[2] for hop in wrote] == ["nobody", "nobody; not ready: 10.244.3.2", "10.244.3.2"]
    assert [hop.cause.partition(" ")[0] for hop in wrote] == [SERVICE, POD, POD], "and why"
    heard = [hop for hop in hops if hop.component == "kube-proxy" and hop.function == "addresses"]
    assert {hop.machine for hop in heard} == {"master", "agent1", "agent2"}
    assert all("10.244.3.2:6379" in hop.text for hop in heard)
    assert {hop.wrote for hop in hops if hop.wrote} == {f"{ENDPOINTS}@{revision}" for revision in (4645, 4651, 4656)}


@pytest.mark.parametrize("seconds", [-3600.0, -2.5, 2.5, 3600.0])
def test_a_machine_whose_clock_is_wrong_is_put_right_and_named(seconds: float) -> None:
    logs = journals()
    logs["agent2"] = [shifted(text, int(seconds * 1e6)) for text in logs["agent2"]]
    story = tell(known(logs))
    assert not in_order(story, TABLE)
    (note,) = story.notes
    (told,) = re.findall(r"([0-9.]+) ms", note)[:1]
    assert abs(float(told) * (1 if "ahead of" in note else -1) - seconds * 1000) < 50
    assert story.chapters[0].hops[-1].milliseconds < 2000


@pytest.mark.parametrize("component", ["kube-scheduler", "kube-controller-manager"])
def test_one_component_whose_clock_is_wrong_is_put_right_and_the_others_left_alone(component: str) -> None:
    logs = journals()
    logs["master"] = [shifted(text, -30_000_000) if f'"{component}"' in text else text for text in logs["master"]]
    story = tell(known(logs))
    assert not in_order(story, TABLE[:16])  # what follows is nearer together than the guess is sure (4 ms)
    (note,) = story.notes
    assert note.startswith(f"The clock of {component} on master is ")
    assert " behind " in note
    hops = story.chapters[0].hops
    assert {hop.component for hop in hops if abs(hop.clock - hop.time) > 20_000} == {component}


def test_a_clock_that_jumps_puts_no_effect_before_its_cause() -> None:
    logs = journals()
    half = len(logs["agent2"]) // 2
    logs["agent2"] = logs["agent2"][:half] + [shifted(text, -60_000_000) for text in logs["agent2"][half:]]
    story = tell(known(logs))
    assert "jumped" in story.notes[0]
    hops = [hop for chapter in story.chapters for hop in chapter.hops]
    times = {hop.number: hop.time for hop in hops}
    assert all(times[cause] <= hop.time for hop in hops for cause in hop.after)


def test_lines_of_others_and_lines_cut_off_do_not_matter() -> None:
    logs = journals()
    plain = tell(known(logs))
    noise = [
        "", "Started kubelet.service.", '{"time": 1, "component"', "{}", "[1]", '{"time":"x","decision":"created"}',
        '{"time":1,"component":"kubelet","decision":"d","way":[{"time":"now"}]}', "\x1b[2J\x00", "null",
        '{"time":1,"component":"kubelet","decision":"d","object":"pods/default/x","resourceVersion":"abc"}',
        line(1_795_393_800_390_000, "kubelet", "start container", object="pods/default/another", resourceVersion="3"),
    ]  # fmt: skip
    logs = {name: [*noise, *(each for text in texts for each in (text, *noise))] for name, texts in logs.items()}
    assert tell(known(logs)) == plain


def test_a_gap_in_the_journal_leaves_the_rest() -> None:
    logs = journals()
    logs["master"] = [text for text in logs["master"] if '"kube-scheduler"' not in text and TOLD not in text]
    story = tell(known(logs))
    assert not in_order(story, [row for row in TABLE if row[0] != "kube-scheduler" and row[1] not in WATCH])


TOLD, WATCH = '"told the watchers"', ("Cache.apply", "Follower.tell")


def test_text_of_strangers_is_shown_and_not_obeyed() -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe [bold red]x[/bold red]"
    logs = {"one": [stored(10_000, 5, RC), line(11_000, "kube-scheduler", nasty, object=RC, cause=nasty, why=nasty)]}
    text = printed(tell(known(logs)), width=200)
    assert not set("\x1b\x07\u202e") & set(text)
    assert "\\x1b[2J" in text
    assert "[bold red]" in text
    assert clean("ä → ✓") == "ä → ✓"


def test_a_quiet_day_begins_a_chapter_and_a_slow_pull_does_not() -> None:
    day = 86_400_000_000
    way = [saw(1_001_500, RC, 5)]
    logs = {"one": [
        stored(1_000_000, 5, RC), line(1_002_000, "x", "decided", object=RC, resourceVersion="5", way=way),
        line(9_000_000, "x", "pulled", object=RC, resourceVersion="5", way=way),
        stored(day, 9, RC),
    ]}  # fmt: skip
    first, second = tell(known(logs)).chapters
    assert [hop.decision for hop in first.hops if hop.decision] == ["updated", "decided", "pulled"]
    assert second.hops[0].milliseconds == 0
    assert second.later == pytest.approx(86_399_000, abs=10)


def test_of_many_pods_one_is_told_and_the_others_summed_up() -> None:
    logs = {"one": [stored(1_000_000, 5, RC)]}
    for number in range(30):
        path, time, revision = f"pods/default/web-{number:02}", 1_010_000 + 10_000 * number, 10 + 2 * number
        made = {"object": path, "resourceVersion": str(revision), "cause": RC}
        logs["one"] += [
            stored(time, revision, path, "system:controllers (kube-controller-manager/0)", "created"),
            line(time + 500, "kube-controller-manager", "created", **made),
            stored(time + 1000, revision + 1, path, "system:kube-scheduler (kube-scheduler/0)", "bound"),
        ]  # fmt: skip
    (chapter,) = tell(known(logs)).chapters
    assert {hop.object for hop in chapter.hops} == {RC, "pods/default/web-00"}
    assert len(chapter.children) == 29
    assert chapter.children[0] == Child(
        object="pods/default/web-01", hops=7, milestones=[("made", pytest.approx(20.9)), ("bound", pytest.approx(21.9))]
    )
    text = printed(tell(known(logs)))
    assert "29 more" in text
    assert "and 9 more" in text
    assert {hop.object for hop in tell(known(logs), everything=True).chapters[0].hops} > {"pods/default/web-29"}


def test_a_nodes_heartbeats_are_counted_not_told() -> None:
    node = "nodes/agent1"
    kubelet = "system:node:agent1 (kubelet/0.1)"
    beats = [stored(1_000_000 + 900_000 * n, 5 + n, node, kubelet, "status updated") for n in range(40)]
    (chapter,) = tell(known({"one": beats}, node)).chapters
    assert len(chapter.hops) == 9
    assert chapter.repeated == ["37 more like this: PUT by kubelet on agent1: node agent1"]


def test_nothing_is_known_of_what_never_was() -> None:
    began = {"master": 1_795_393_000_000_000}
    story = tell(known(journals(), "pods/default/never", exists=False, related=[], began=began))
    assert not story.found
    assert "nothing is known" in printed(story)
    assert story.notes == [
        "kube-apiserver does not have it, and no journal names it: it never was, or it is long gone.",
        "The journal of master goes back to 2026-11-23 00:16:40 UTC.",
    ]


def test_what_was_rotated_away_is_said() -> None:
    story = tell(known({"one": []}, created=1_000_000, began={"one": 5_000_000}))
    assert not story.found
    assert "what came before was rotated away" in story.notes[0]


def test_the_picture_fits_80_columns_and_says_functions_and_milliseconds() -> None:
    text = printed(tell(known(journals())))
    assert max(map(len, text.splitlines())) <= 80
    assert "└ plan  kube_controller_manager/replication.py:61" in text
    assert re.search(r"\n│ +\d+\.\d\d +\+\d\.\d\d  rc redis-master has 0 pods and wants 1: create 1\n", text)
    assert len(printed(tell(known(journals())), brief=True).splitlines()) < len(text.splitlines()) / 2


def test_in_brief_a_story_begins_with_what_came_from_outside_and_leaves_the_steps_out() -> None:
    (chapter,) = tell(known(journals())).chapters
    brief = [hop for hop in chapter.hops if hop.is_in_brief]
    assert [hop.text.partition(":")[0] for hop in brief if not hop.decision] == ["POST by admin with kubectl"] * 2
    assert not {hop.function for hop in brief} & {"_transaction", "Cache.apply", "Informer._apply", "WorkQueue.get"}
    decided = {hop.decision for hop in brief}
    assert decided >= {"scale", "assigned", "bound", "start container", "status written", "endpoints", "record added"}


def test_a_terminal_without_colours_gets_plain_ascii_if_it_must() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    picture.draw(tell(known(journals())), Console(file=out, width=80))
    out.seek(0)
    text = out.read()
    assert "+ master - kube-scheduler\n|  " in text


def test_a_line_is_parsed_and_a_stranger_is_none() -> None:
    found = parse("one", 3, line(5, "kubelet", "d", object=POD, resourceVersion="7", way=[saw(4, POD, 6)], extra=[1]))
    assert isinstance(found, Line)
    assert (found.revision, found.way[0].revision, found.place.file) == (7, 6, "labkit/x.py")
    assert found.fields == {"extra": [1]}
    assert parse("one", 0, "no JSON") is None
    assert parse_all({"one": ["no JSON"]}) == ([], [])


@pytest.mark.parametrize(
    ("text", "path"),
    [("rc/web", "replicationcontrollers/default/web"), ("pod/prod/x-1", "pods/prod/x-1"), ("no/agent1", "nodes/agent1"),
     ("services/a", "services/default/a"), ("ep/a.b", "endpoints/default/a.b")],
)  # fmt: skip
def test_the_words_of_the_command_line(text: str, path: str) -> None:
    assert target.parse(text).path == path


@pytest.mark.parametrize(
    "text", ["", "web", "rc/", "rc/a/b/c", "node/a/b", "deployment/x", "rc/Über", "rc/a;b", "rc/-a", "rc/a\n"]
)
def test_words_that_name_nothing(text: str) -> None:
    with pytest.raises(target.Unclear, match="expected KIND/NAME"):
        target.parse(text)
