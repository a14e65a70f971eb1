"""A small page, and a stage without machines to play it on."""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from labkit.guide.format import Lab
from labkit.guide.parse import parse_text
from labkit.guide.places import NowhereError, Place, Spot
from labkit.guide.stage import Outcome, with_answers

FRONT = """---
title: A lamp
minutes: 5
objectives:
- switch it on
needs: {agents: 2}
reads: []
---
"""

PAGE = (
    FRONT
    + """
# A lamp

Once upon a time.

## Switch it on
<!-- id on -->

The lamp is a file.

```predict
What will it say?
a. nothing
b. on
```
<!-- answer b
Because it was told to.
-->

```sh on=master
echo on > lamp; cat lamp
```
```output
on
```

```sh check on=master within=1
grep -q on lamp
```

<details>
<summary>Hint</summary>

Look for the *switch*.

</details>

It shines: the debrief.

## How bright?
<!-- id bright -->

```quiz
Who pays?
a. you
b. nobody
```
<!-- answer a
Nothing is free.
-->

```ask name=BRIGHT
How many letters has it?
```
<!-- answer on=agent1
head -c -1 lamp | wc -c
-->

<!-- solution on=master
touch bright
-->

```sh check on=master needs=on blames=kubelet
test -e bright && test "$BRIGHT" = "$(head -c -1 lamp | wc -c)"
```

```sh reset on=master
rm -f lamp bright
```
"""
)


def page(text: str = PAGE) -> Lab:
    return parse_text(text, Path("labs/lamp/lab.md"), "lamp")


class FakeStage:
    """One temporary directory is every machine; pods are nowhere unless told."""

    patience = 1.0

    def __init__(self, pods: Mapping[str, str] | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="labkit-stage-")
        self.pods = pods or {}
        self.shells: list[str] = []
        self.brought = 0
        self.units: dict[str, dict[str, str]] = {}

    def agents(self) -> list[str]:
        return ["agent1", "agent2"]

    def find(self, place: Place) -> Spot:
        if place.kind == "machine":
            return Spot(place.machine)
        if place.pod not in self.pods:
            raise NowhereError(f"pod {place.pod}: there is none")
        return Spot(self.pods[place.pod])

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        typed = ["bash", "-c", "exec 2>&1; " + with_answers(command, answers)]
        done = subprocess.run(
            typed, cwd=self.folder.name, stdout=subprocess.PIPE, text=True, timeout=timeout, check=False
        )
        return Outcome(done.returncode, done.stdout)

    def unit_states(self, unit: str) -> dict[str, str]:
        return self.units.get(unit, {})

    def shell(self, spot: Spot) -> None:
        self.shells.append(spot.machine)

    def bring(self, lab: Lab) -> None:
        self.brought += 1


class FakeScreen:
    """Remembers what was shown; answers from a list and then as a closed input does."""

    def __init__(self, typed: Iterable[str] = ()) -> None:
        self.typed = list(typed)
        self.shown: list[str] = []

    def title(self, text: str, under: str = "") -> None:
        self.shown.append(text)

    def markdown(self, text: str) -> None:
        self.shown.append(text)

    def code(self, language: str, text: str, caption: str) -> None:
        self.shown += [caption, text]

    def clear(self) -> None:
        self.shown.append("---")

    def command(self, where: str, text: str, hand: str = "", typed: bool = True) -> None:
        self.shown.append(f"{where}# {text}")

    def output(self, text: str) -> None:
        self.shown.append(text)

    def copyable(self, text: str) -> None:
        self.shown.append(text)

    def say(self, text: str, mood: str = "") -> None:
        self.shown.append(text)

    def key(self, watch: Callable[[], bool] | None = None) -> str:
        if watch is not None and watch():
            return ""
        return self.ask("").lower()[:1]

    def ask(self, prompt: str) -> str:
        if not self.typed:
            raise EOFError
        return self.typed.pop(0)

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        self.shown += [" ".join(row) for row in rows]

    @property
    def text(self) -> str:
        return "\n".join(self.shown)
