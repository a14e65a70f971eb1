"""Pages are read into parts, and a page that cannot be read says where and what was expected."""

from pathlib import Path

import pytest

from labkit.guide.format import Ask, Check, Code, LabError, Question, Recorded, Run, Text
from labkit.guide.parse import parse, parse_text
from labkit.guide.places import Place
from tests.unit.guide.pages import FRONT, PAGE, page

MASTER = Place("machine", machine="master")


def line_of(text: str, after: str = "") -> int:
    lines = PAGE.splitlines()
    start = lines.index(after) if after else 0
    return lines.index(text, start) + 1


def test_front_matter_and_intro() -> None:
    lab = page()
    assert (lab.title, lab.minutes, lab.objectives, lab.agents) == ("A lamp", 5, ("switch it on",), 2)
    assert lab.intro == (Text("Once upon a time.", line_of("Once upon a time.")),)


def test_the_parts_of_a_step_in_the_order_of_the_page() -> None:
    step = page().steps[0]
    assert (step.id, step.title) == ("on", "Switch it on")
    assert [type(part) for part in step.parts] == [Text, Question, Run, Check, Text]
    assert step.parts[1] == Question(
        "predict",
        "What will it say?",
        {"a": "nothing", "b": "on"},
        "b",
        "Because it was told to.",
        line_of("```predict"),
    )
    recorded = Recorded("on\n", line_of("```output"))
    assert step.parts[2] == Run(MASTER, "echo on > lamp; cat lamp", line_of("```sh on=master"), recorded=recorded)
    assert step.parts[3] == Check(MASTER, "grep -q on lamp", line_of("```sh check on=master within=1"), within=1)


def test_a_hint_is_not_text() -> None:
    step = page().steps[0]
    assert [hint.markdown for hint in step.hints] == ["Look for the *switch*."]
    assert "switch" not in "".join(part.markdown for part in step.parts if isinstance(part, Text))


def test_solutions_answers_and_resets() -> None:
    lab = page()
    hidden = [part for part in lab.steps[1].parts if isinstance(part, Run) and part.hidden]
    assert [run.command for run in hidden] == ["touch bright"]
    ask = next(part for part in lab.steps[1].parts if isinstance(part, Ask))
    assert (ask.name, ask.answer.command) == ("BRIGHT", "head -c -1 lamp | wc -c")
    assert ask.answer.place == Place("machine", machine="agent1")
    assert [run.command for run in lab.resets] == ["rm -f lamp bright"]
    check = lab.steps[1].checks[0]
    assert (check.needs, check.blames) == (("on",), ("kubelet",))


def test_code_from_the_source_and_plain_examples() -> None:
    text = FRONT + "```python from=a/b.py:f\ndef f(): ...\n```\n\n```json\n{}\n```\n"
    lab = page(text)
    assert lab.intro == (
        Code("python", "a/b.py:f", "def f(): ...\n", FRONT.count("\n") + 1),
        Text("```json\n{}\n```", FRONT.count("\n") + 5),
    )


HIDDEN = """## S
<!-- id s -->

text

<!-- setup on=master
echo dark > lamp
-->

<!-- when on=master
grep dark lamp
-->

<details>
<summary>Hint</summary>

The lamp is *out*.

</details>

<!-- reset on=master
rm lamp
-->
"""


def test_setups_resets_and_hints_that_fit() -> None:
    lab = page(FRONT + "<!-- setup on=agent1\ntrue\n-->\n\n<!-- reset on=agent1\nfalse\n-->\n\n" + HIDDEN)
    step = lab.steps[0]
    assert [run.command for run in step.setups] == ["echo dark > lamp"]
    assert [run.command for run in lab.setups] == ["true"]
    assert [run.command for run in lab.resets] == ["rm lamp", "false"]
    assert step.hints[0].when
    assert step.hints[0].when.command == "grep dark lamp"
    assert [type(part) for part in step.parts] == [Text]


STEP = "## S\n<!-- id s -->\n"
AFTER = FRONT.count("\n") + STEP.count("\n")


@pytest.mark.parametrize(
    ("body", "line", "problem", "expected"),
    [
        ("## S\n\nno name\n", AFTER - 1, "has no name", "<!-- id NAME -->"),
        (STEP + "```sh\nls\n```\n", AFTER + 1, "sh without on=", "pod/NAME"),
        (STEP + "```sh on=the:moon\nls\n```\n", AFTER + 1, "on=the:moon", "node-of:pod/NAME"),
        (STEP + "```sh on=master\n```\n", AFTER + 1, "an empty block", "a command"),
        (STEP + "```sh on=master whithin=3\nls\n```\n", AFTER + 1, "unknown 'whithin=3'", "within=..."),
        (STEP + "```sh on=master within=3\nls\n```\n", AFTER + 1, "within= on a command", "sh check"),
        (STEP + "```sh check on=master within=soon\nls\n```\n", AFTER + 1, "within=soon", "seconds"),
        (STEP + "```sh check on=master blames=cubelet\nls\n```\n", AFTER + 1, "blames=cubelet", "kubelet"),
        (STEP + "```sh check on=master needs=later\nls\n```\n", AFTER + 1, "needs=later", "earlier steps"),
        (STEP + "text\n\n```output\nx\n```\n", AFTER + 3, "an output without its command", "directly before"),
        (STEP + "```quiz\nWhy?\na. so\n```\n", AFTER + 1, "has 1 choices", "a. ..."),
        (STEP + "```quiz\nWhy?\na. so\nb. or so\n```\n", AFTER + 1, "a quiz without its answer", "<!-- answer"),
        (STEP + "```quiz\nWhy?\na. so\nb. no\n```\n<!-- answer c\nx -->\n", AFTER + 6, "answer 'c'", "a, b"),
        (STEP + "```ask name=port\nWhich?\n```\n", AFTER + 1, "ask name=port", "A-Z"),
        (STEP + "```ask name=PORT\nWhich?\n```\n", AFTER + 1, "an ask without its answer", "on=PLACE"),
        (STEP + "<!-- answer a\nx -->\n", AFTER + 1, "an answer to nothing", "directly before"),
        (STEP + "<!-- soluton on=master\nls\n-->\n", AFTER + 1, "unknown comment 'soluton'", "solution on=PLACE"),
        (STEP + "<details>\n<summary>H</summary>\n\nnever ends\n", AFTER + 1, "not closed", "</details>"),
        (STEP + "<!-- when on=master\ntrue\n-->\n\ntext\n", AFTER + 1, "a condition without its hint", "<details>"),
        (STEP + STEP, AFTER + 1, "step name s is taken", "another"),
    ],
)
def test_a_bad_page_names_line_and_expectation(body: str, line: int, problem: str, expected: str) -> None:
    with pytest.raises(LabError) as caught:
        page(FRONT + body)
    assert str(caught.value).startswith(f"labs/lamp/lab.md:{line}: ")
    assert problem in caught.value.problem
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("# no front matter\n", 1, "has no front matter"),
        ("---\ntitle: [\n---\n", 2, "no YAML"),
        (FRONT.replace("minutes: 5", "minutes: five"), 3, "minutes: 'five'"),
        (FRONT.replace("title: A lamp\n", ""), 1, "title: None"),
        (FRONT.replace("reads: []", "reads: []\ncolour: red"), 8, "unknown colour"),
        (FRONT.replace("- switch", "- a lamp: switch"), 4, "objectives: {'a lamp': 'switch it on'}"),
        (FRONT.replace("reads: []", "reads: [5]"), 7, "reads: 5"),
        (FRONT.replace("agents: 2", "agents: two"), 6, "needs"),
        (FRONT.replace("agents: 2", "agents: 2, moon: 1"), 6, "moon"),
        (FRONT.replace("reads: []", "reads: []\nview: stars"), 8, "view: stars"),
        (FRONT.replace("reads: []", "reads: []\nvaries: {PORT: 9-8}"), 8, "varies: PORT: '9-8'"),
        (FRONT.replace("reads: []", "reads: []\nvaries: {port: [a, b]}"), 8, "varies: port"),
    ],
)
def test_front_matter_that_cannot_be_read(text: str, line: int, problem: str) -> None:
    with pytest.raises(LabError) as caught:
        parse_text(text, Path("lab.md"), "lab")
    assert caught.value.line == line
    assert problem in caught.value.problem


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "lab.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LabError, match="UTF-8"):
        parse(path)
