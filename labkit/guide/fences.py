"""One fenced block, or one comment that stands for one -> one part.

The info string is a kind, then flags and key=value pairs: ```sh check on=agent1 within=20
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from labkit.guide.format import UNITS, Ask, Check, Code, LabError, Part, Question, Run
from labkit.guide.places import Place, parse_place

# kind -> flags, keys; any other kind is an example, shown as it is (with from=: taken from the source).
_KINDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "sh": (frozenset({"check", "fails", "reset"}), frozenset({"on", "within", "timeout", "needs", "blames"})),
    "output": (frozenset(), frozenset()),
    "quiz": (frozenset(), frozenset()),
    "predict": (frozenset(), frozenset()),
    "ask": (frozenset(), frozenset({"name"})),
}
_CHOICE = re.compile(r"([a-e])\. +(.+)")
PLACES = "master, agent1, pod/NAME, pod/LABEL=VALUE, node-of:pod/NAME or away-from:pod/NAME"


@dataclass(frozen=True)
class Fence:
    info: str
    body: str
    line: int
    path: Path

    def fail(self, problem: str, expected: str = "") -> NoReturn:
        raise LabError(self.path, self.line, problem, expected)


@dataclass
class Info:
    kind: str
    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)


def read_info(fence: Fence) -> Info:
    kind, *words = fence.info.split() or [""]
    info = Info(kind)
    flags, keys = _KINDS.get(kind, (frozenset(), frozenset({"from"})))
    for word in words:
        key, equals, value = word.partition("=")
        if (equals and key not in keys) or (not equals and key not in flags):
            fence.fail(f"{kind}: unknown {word!r}", " ".join([*sorted(flags), *(f"{k}=..." for k in sorted(keys))]))
        if equals:
            info.values[key] = value
        else:
            info.flags.add(key)
    return info


def _place(fence: Fence, info: Info) -> Place:
    place = parse_place(info.values.get("on", ""))
    if place is None:
        fence.fail(f"on={info.values.get('on', '')}" if "on" in info.values else f"{info.kind} without on=", PLACES)
    if not fence.body.strip():
        fence.fail("an empty block", "a command")
    return place


def _seconds(fence: Fence, info: Info, key: str, default: float) -> float:
    text = info.values.get(key, str(default))
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        fence.fail(f"{key}={text}", "seconds, as a number")
    return float(text)


def run_of(fence: Fence, info: Info) -> Run:
    if wrong := sorted({"within", "needs", "blames"} & set(info.values)):
        fence.fail(f"{wrong[0]}= on a command", "it on a check: sh check on=PLACE")
    timeout = _seconds(fence, info, "timeout", 60)
    return Run(_place(fence, info), fence.body.rstrip("\n"), fence.line, timeout,
               fails="fails" in info.flags, reset="reset" in info.flags)  # fmt: skip


def check_of(fence: Fence, info: Info) -> Check:
    if info.flags != {"check"} or "timeout" in info.values:
        fence.fail("a check that is something else as well", "sh check on=PLACE [within=SECONDS]")
    needs, blames = (tuple(filter(None, info.values.get(key, "").split(","))) for key in ("needs", "blames"))
    if unknown := [unit for unit in blames if unit not in UNITS]:
        fence.fail(f"blames={unknown[0]}", "one of " + ", ".join(UNITS))
    within = _seconds(fence, info, "within", 0)
    return Check(_place(fence, info), fence.body.rstrip("\n"), fence.line, within, needs, blames)


def question_of(fence: Fence, info: Info) -> Question:
    """The question, then one line `a. ...` per choice; the answer follows in a comment."""
    lines = fence.body.strip().splitlines()
    choices = {found[1]: found[2] for line in lines if (found := _CHOICE.fullmatch(line.strip()))}
    text = "\n".join(line for line in lines if not _CHOICE.fullmatch(line.strip())).strip()
    if not text or sorted(choices) != [*"abcde"[: len(choices)]] or len(choices) < 2:
        fence.fail(f"{info.kind} {text[:30]!r} has {len(choices)} choices", "a question, then lines 'a. ...', 'b. ...'")
    return Question("quiz" if info.kind == "quiz" else "predict", text, choices, "", "", fence.line)


def ask_of(fence: Fence, info: Info) -> Ask:
    name = info.values.get("name", "")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or not fence.body.strip():
        fence.fail(f"ask name={name}", "a question, and a name of A-Z, 0-9 and _")
    return Ask(name, fence.body.strip(), Run(Place("machine"), "", 0), fence.line)


def code_of(fence: Fence, info: Info) -> Code:
    return Code(info.kind, info.values["from"], fence.body, fence.line)


def answer_of(asked: Part | None, comment: Fence) -> Part:
    """The part before an answer comment, with its answer."""
    if isinstance(asked, Question) and not asked.right:
        if comment.info not in asked.choices:
            comment.fail(f"answer {comment.info!r}", "one of the letters " + ", ".join(asked.choices))
        if not comment.body.strip():
            comment.fail("an answer without its reason", "the reason, in the lines below")
        return replace(asked, right=comment.info, why=comment.body.strip())
    if isinstance(asked, Ask) and not asked.answer.command:
        command = replace(comment, info=f"sh {comment.info}")
        return replace(asked, answer=replace(run_of(command, read_info(command)), hidden=True))
    return comment.fail("an answer to nothing", "a quiz, predict or ask directly before it")
