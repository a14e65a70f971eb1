"""`labkit walkthrough`: list them, present one, record it.

A recording is a cast for asciinema (FILE.cast) or a page for a browser (FILE.html); an unattended show that is recorded
takes no longer than its commands, and plays at a reader's pace.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.cluster import load as load_cluster
from labkit.guide import acts, catalog
from labkit.guide.cast import SIZE, Clock, Recording, ShowClock, WallClock
from labkit.guide.format import Lab, LabError
from labkit.guide.handout import html
from labkit.guide.keys import Quit
from labkit.guide.machines import on_stage
from labkit.guide.play import FAILED, FINE, NOT_PASSED, guarded, ready
from labkit.guide.presenter import Pace, Presenter
from labkit.guide.rewrite import recordable
from labkit.guide.screen import Screen, Terminal
from labkit.guide.words import Words


@dataclass(frozen=True)
class Wishes:
    """How a walkthrough is to be played. `typing`: characters a second, 0 for all at once; `pause`: 1 is as long as
    reading takes, 0 none."""

    auto: bool = False
    notes: bool = False
    typing: float = 40
    pause: float = 1
    record: Sequence[Path] = ()


def list_walkthroughs(lang: str | None = None) -> int:
    def listed(screen: Screen, words: Words) -> int:
        pages = {name: catalog.load(catalog.WALKTHROUGHS, name, catalog.language(lang))
                 for name in catalog.pages(catalog.WALKTHROUGHS)}  # fmt: skip
        screen.table([words("list-name"), words("list-title"), words("list-minutes")],
                     [(name, page.title, str(page.minutes)) for name, page in pages.items()])  # fmt: skip
        return FINE

    return guarded(lang, listed)


def run_walkthrough(name: str, cluster_name: str, wishes: Wishes, lang: str | None = None) -> int:
    """Present a walkthrough from its beginning; unattended it ends with 1 at the first unexpected end of a command."""
    casts = [path for path in wishes.record if path.suffix == ".cast"]
    clock: Clock = ShowClock() if wishes.auto and casts else WallClock()
    live = sys.stdout.isatty()
    recording = Recording(clock, f"labkit walkthrough {name}", sys.stdout if live else None, _size(live))
    screen = Terminal(1 / wishes.typing if wishes.typing else 0, recording if casts else None, _size(live), clock.sleep)
    pace = Pace(clock.sleep, wishes.auto, wishes.pause if live or casts else 0)

    def ran(screen: Screen, words: Words) -> int:
        page = catalog.load(catalog.WALKTHROUGHS, name, words.lang)
        for path in wishes.record:
            _check(path)
        with on_stage(load_cluster(cluster_name), page) as stage:
            if not ready(stage, page, screen, words):
                return FAILED
            acts.reset(stage, page)
            presenter = Presenter(page, stage, screen, words, pace, wishes.notes)
            try:
                good = presenter.play()
            except (Quit, EOFError):
                good = True
            finally:
                acts.reset(stage, page)
        for path in casts:
            recording.save(path)
        _write_pages(page, presenter, [path for path in wishes.record if path not in casts], words.lang)
        return FINE if good else NOT_PASSED

    return guarded(lang, ran, screen)


def _size(live: bool) -> tuple[int, int]:
    return (shutil.get_terminal_size().columns, shutil.get_terminal_size().lines) if live else SIZE


def _check(path: Path) -> None:
    if path.suffix not in (".cast", ".html"):
        raise LabError(path, 0, f"--record {path.name}", "FILE.cast or FILE.html")
    if not path.parent.is_dir():
        raise LabError(path, 0, f"there is no folder {path.parent}", "a folder that exists")


def _write_pages(page: Lab, presenter: Presenter, paths: Sequence[Path], lang: str) -> None:
    printed = {command: recordable(outcome) for command, outcome in presenter.printed.items()}
    for path in paths:
        path.write_text(html.page(page, lang, printed=printed, notes=True), encoding="utf-8")
