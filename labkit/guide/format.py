"""What a lab or a walkthrough consists of; CONTRIBUTING.md ("I want to add a lab") describes how it is written down.

Lab
 +- intro: parts                 text before the first `##`
 +- steps: Step
     +- parts, in the order of the page:
     |    Text       prose (Markdown)
     |    Code       a fence with `from=`: a function, or a file, shown from the source
     |    Run        `sh on=PLACE`: shown, run on Enter; in a `solution` comment: hidden, typed only by --play
     |    Question   `quiz` (judged at once) or `predict` (judged by what the next command prints)
     |    Ask        `ask name=X`: the learner types what they found; later commands see it as $X
     |    Picture    `<!-- picture story rc/web -->`, then ![caption](web.svg): drawn when the lab is recorded
     |    Check      `sh check on=PLACE within=20`: passes on exit 0
     +- notes      `<!-- note`: what the speaker of a walkthrough says
     +- setups     `<!-- setup on=PLACE`: run before the step begins, not shown
     +- resets     `<!-- reset on=PLACE`, or a shown command with the flag `reset`: undo what the step made
     +- hints      shown one by one on request; one with `<!-- when on=PLACE` before it only where that command says yes

The intro has setups and resets too: those of the whole lab. What `varies` differs from learner to learner (vary.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from labkit.guide.places import Place

# The units of a cluster: what a check may blame.
UNITS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kube-dns", "kubelet", "kube-proxy",
         "docker", "docker-registry")  # fmt: skip


class LabError(Exception):
    """A lab cannot be read or played: file, line (1-based; 0 for the whole file), what is wrong, what was expected."""

    def __init__(self, path: Path, line: int, problem: str, expected: str = "") -> None:
        self.path, self.line, self.problem, self.expected = path, line, problem, expected
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {problem}" + (f"; expected {expected}" if expected else ""))


@dataclass(frozen=True)
class Text:
    markdown: str
    line: int


@dataclass(frozen=True)
class Code:
    """`source` is "path:name" or "path", relative to the repository or to the lab; `body` is the copy in the page."""

    language: str
    source: str
    body: str
    line: int


@dataclass(frozen=True)
class Recorded:
    """An ```output fence: what the command before it printed when the page was last recorded."""

    body: str
    line: int


@dataclass(frozen=True)
class Run:
    """A command. `fails`: it is meant to exit with an error. `reset`: `--reset` runs it too."""

    place: Place
    command: str
    line: int
    timeout: float = 60
    fails: bool = False
    reset: bool = False
    hidden: bool = False
    recorded: Recorded | None = None


@dataclass(frozen=True)
class Question:
    kind: Literal["quiz", "predict"]
    text: str
    choices: dict[str, str]
    right: str
    why: str
    line: int


@dataclass(frozen=True)
class Ask:
    """The learner's finding; `answer` prints the right one (typed by --play, never shown)."""

    name: str
    text: str
    answer: Run
    line: int


@dataclass(frozen=True)
class Check:
    """Exit 0 = passed; tried again for `within` seconds. `needs`: ids of steps whose checks must still hold;
    `blames`: the units whose work this is, in the order in which they do it."""

    place: Place
    command: str
    line: int
    within: float = 0
    needs: tuple[str, ...] = ()
    blames: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """What the speaker of a walkthrough says, or has to know: `<!-- note`, text, `-->`."""

    markdown: str
    line: int


@dataclass(frozen=True)
class Picture:
    """What `labkit packet` or `labkit story` draws at this point of the page, recorded as SVG beside it."""

    command: str  # `labkit story rc/redis-master`
    file: str
    caption: str
    line: int


Part = Text | Code | Run | Question | Ask | Check | Picture


@dataclass(frozen=True)
class Hint:
    """`when`: a command that says with exit 0 that this hint fits what is the matter; what it prints is shown too."""

    markdown: str
    line: int
    when: Run | None = None


@dataclass(frozen=True)
class Step:
    id: str
    title: str
    line: int
    parts: tuple[Part, ...]
    hints: tuple[Hint, ...] = ()
    setups: tuple[Run, ...] = ()
    undo: tuple[Run, ...] = ()  # resets that no reader sees
    notes: tuple[Note, ...] = ()  # for the speaker

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(part for part in self.parts if isinstance(part, Check))

    @property
    def resets(self) -> tuple[Run, ...]:
        return (*(part for part in self.parts if isinstance(part, Run) and part.reset), *self.undo)

    @property
    def solution(self) -> tuple[Run, ...]:
        """What is typed by who plays this step: shown and hidden commands in their order."""
        return tuple(part for part in self.parts if isinstance(part, Run))


@dataclass(frozen=True)
class Lab:
    name: str
    path: Path
    title: str
    minutes: int
    objectives: tuple[str, ...]
    agents: int  # how many Ready agents must be there
    reads: tuple[str, ...]  # files of labkit that the lab reads, from the repository's root
    intro: tuple[Part, ...]
    steps: tuple[Step, ...] = field(default=())
    labs: tuple[str, ...] = ()  # the labs that this one builds upon
    varies: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # NAME -> what it may be, the recorded one first
    values: Mapping[str, str] = field(default_factory=dict)  # what they are for this learner (vary.py)
    view: str = "pods"  # what the side view begins with (views.py)
    parallel: bool = False  # all it does stays in one namespace: several such labs can be played at once
    setups: tuple[Run, ...] = ()
    undo: tuple[Run, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def folder(self) -> str:
        """Where its files are on the master and where its commands start, below /root. Walkthroughs share one."""
        return "walkthroughs" if self.path.parent.name == "walkthroughs" else f"labs/{self.name}"

    @property
    def resets(self) -> tuple[Run, ...]:
        """All of the lab, the last step's first."""
        return (*(run for step in reversed(self.steps) for run in step.resets), *self.undo)

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)
