"""A page with new bodies in those fences that nobody types by hand: code from the source, recorded outputs. Pure."""

from collections.abc import Mapping

from labkit.guide.format import Code, Lab, Part, Run
from labkit.guide.source import source_of
from labkit.guide.stage import Outcome

MOST_LINES = 40  # a longer output is cut: a page is for reading


def parts_of(lab: Lab) -> list[Part]:
    return [*lab.intro, *(part for step in lab.steps for part in step.parts)]


def with_code(text: str, lab: Lab) -> str:
    """The page's text with its code as it is in the source now."""
    return _replaced(text, {part.line: source_of(part, lab.path) for part in parts_of(lab) if isinstance(part, Code)})


def with_outputs(text: str, lab: Lab, printed: Mapping[str, str]) -> str:
    """The page's text with what each command printed (`spoken` command -> output), in a new fence where it has none."""
    bodies: dict[int, str] = {}
    new: dict[int, str] = {}
    for part in parts_of(lab):
        if isinstance(part, Run) and not part.hidden and spoken(part) in printed:
            line, outputs = (part.recorded.line, bodies) if part.recorded else (part.line, new)
            outputs[line] = printed[spoken(part)]
    return _replaced(text, bodies, new)


def spoken(run: Run) -> str:
    """What makes a command the same in both languages."""
    return f"{run.place}\n{run.command}"


def _replaced(text: str, bodies: Mapping[int, str], outputs: Mapping[int, str] | None = None) -> str:
    """New bodies for the fences that open at these lines (1-based), and `outputs` behind those that open there."""
    lines = text.splitlines()
    for line in sorted([*bodies, *(outputs or ())], reverse=True):
        fence = lines[line - 1].split("`" * 3)[0] + "```"
        end = next(i for i in range(line, len(lines)) if lines[i].startswith(fence))
        if line in bodies:
            lines[line:end] = bodies[line].rstrip("\n").splitlines()
        elif outputs:
            lines[end + 1 : end + 1] = ["```output", *outputs[line].rstrip("\n").splitlines(), "```"]
    return "\n".join(lines) + "\n"


def recordable(outcome: Outcome) -> str:
    """What is recorded of a command."""
    return shortened(outcome.text) or f"(exit code {outcome.rc})"


def shortened(text: str) -> str:
    lines = [line.rstrip().replace("```", "'''") for line in text.rstrip().splitlines()]
    return "\n".join(lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], f"... ({len(lines)} lines)"])
