"""A walkthrough on a projector: screens, keys, typing, recordings."""

import json
from collections.abc import Sequence

import pytest

from labkit.guide.beats import Reveal, reading_seconds, scenes
from labkit.guide.cast import LONGEST, Recording, ShowClock
from labkit.guide.format import Check, Code, Lab, Question, Run, Text
from labkit.guide.keys import Quit
from labkit.guide.presenter import Pace, Presenter
from labkit.guide.screen import Terminal
from labkit.guide.words import Words
from tests.unit.guide.pages import FRONT, FakeScreen, FakeStage, page

SHOW = (
    FRONT
    + """
# A lamp

Welcome.
<!-- note
Ask who has seen a lamp.
-->

## One
<!-- id one -->
<!-- note
Speak slowly.
-->

A lamp.

```predict
Bright?
a. yes
b. no
```
<!-- answer a
It is on.
-->

```sh on=master
echo x >> runs; echo dazz''ling
```
```output
dazzling
```

After it.

## Two
<!-- id two -->

```sh check on=master
test -e runs
```

```python from=labkit/guide/stage.py:Outcome
```

```sh on=pod/nowhere
true
```
```output
x
```
"""
)


def present(typed: Sequence[str], text: str = SHOW, notes: bool = False, auto: bool = False) -> tuple[FakeScreen, bool]:
    screen, stage = FakeScreen(typed), FakeStage()
    presenter = Presenter(page(text), stage, screen, Words("en"), Pace(lambda seconds: None, auto), notes)
    try:
        done = presenter.play()
    except Quit:
        done = False
    runs = stage.run(stage.find(page().steps[0].checks[0].place), "wc -l < runs", 5, {})
    screen.shown.append(f"runs {runs.text.strip()}")
    return screen, done


def kinds(lab: Lab) -> list[list[tuple[type, bool]]]:
    return [[(type(beat.shown), beat.waits) for beat in scene.beats] for scene in scenes(lab)]


def test_a_page_is_cut_into_screens_and_beats() -> None:
    assert kinds(page(SHOW)) == [
        [(Text, False)],
        [(Text, False), (Question, False), (Run, True), (Reveal, True), (Text, True)],
        [(Check, False), (Code, False), (Run, True)],
    ]


def test_each_key_brings_one_beat_and_the_last_one_the_end() -> None:
    screen, done = present(["n", " ", "", "n", "n", "n", "n"])
    assert done
    assert [text for text in screen.shown if text in ("---", "1 / 2", "2 / 2", "dazzling\n")] == [
        "---",
        "---",
        "dazzling\n",
        "---",
    ]
    assert screen.shown.index("master# echo x >> runs; echo dazz''ling") < screen.shown.index("dazzling\n")
    assert "It is on." in screen.text.split("dazzling\n")[1]
    assert "pod nowhere: there is none" in screen.text  # said, and the show goes on


def test_back_shows_the_screen_before_as_it_was_and_runs_nothing_again() -> None:
    screen, done = present(["n", "n", "n", "n", "n", "b", "n", "n", "n"])
    assert done
    assert screen.text.count("dazzling\n") == 2
    assert screen.shown[-1] == "runs 1"


def test_the_end_can_come_any_time() -> None:
    assert present(["n", "q"])[1] is False


def test_notes_are_shown_on_a_key_or_from_the_beginning() -> None:
    assert "Ask who has seen a lamp." in present(["q"], notes=True)[0].text
    assert "Ask who" not in present(["q"])[0].text
    assert "Ask who" in present(["o", "q"])[0].text


def test_unattended_it_stops_at_a_command_that_fails() -> None:
    screen, done = present([], auto=True)
    assert not done
    assert "runs 1" in screen.text
    assert present([], text=SHOW.replace("on=pod/nowhere", "on=master"), auto=True)[1]


@pytest.mark.parametrize(("text", "seconds"), [("", 1), ("one two", 1), ("a " * 40, 10), ("一个对象的旅程" * 5, 7.25)])
def test_reading_takes_its_time(text: str, seconds: float) -> None:
    assert reading_seconds(text) == seconds


class Hand:
    """A clock that is set by hand."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def test_a_recorded_show_sleeps_without_waiting_and_cuts_long_silence() -> None:
    wall = Hand()
    clock = ShowClock(wall)
    clock.sleep(30)
    assert clock.now() == 30
    wall.seconds += 0.5
    assert clock.now() == 30.5
    wall.seconds += 100
    assert clock.now() == 30.5 + LONGEST


def test_a_cast_is_what_asciinema_reads() -> None:
    clock = ShowClock(Hand())
    recording = Recording(clock, "A lamp", None, (80, 24))
    screen = Terminal(0.1, recording, (80, 24), clock.sleep)
    screen.command("master", "ls")
    screen.output("亮\n")
    head, *events = [json.loads(line) for line in recording.text.splitlines()]
    assert (head["version"], head["width"], head["height"]) == (2, 80, 24)
    times = [seconds for seconds, kind, text in events if kind == "o"]
    assert len(times) == len(events)
    assert times == sorted(times)
    assert times[-1] == pytest.approx(0.2)
    shown = "".join(text for _, _, text in events)
    assert "亮\r\n" in shown
    assert "\x1b[1ml\x1b[0m" in shown  # typed, one letter at a time
