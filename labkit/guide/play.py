"""What the command line calls: list, guide, prove and reset labs.

Exit codes: 0 fine, 1 a check did not pass (or the learner stopped before the end), 2 the page or the usage is wrong,
3 a machine or a command failed, 130 Ctrl-C.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from labkit.cluster import load as load_cluster
from labkit.cluster import state_dir
from labkit.guide import acts, catalog, theatre
from labkit.guide.desk import Plain
from labkit.guide.engine import percent
from labkit.guide.format import Lab, LabError
from labkit.guide.keys import Quit
from labkit.guide.machines import lacking, on_stage
from labkit.guide.progress import ProgressFile
from labkit.guide.proof import StepBroken, Verdict, prove, without_each
from labkit.guide.screen import Screen, Terminal
from labkit.guide.stage import Stage
from labkit.guide.tutor import Tutor
from labkit.guide.vary import draw, varied
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed

FINE, NOT_PASSED, WRONG, FAILED, INTERRUPTED = 0, 1, 2, 3, 130


def list_labs(cluster_name: str, lang: str | None = None) -> int:
    """A table of the labs with this cluster's progress."""

    def listed(screen: Screen, words: Words) -> int:
        _show_labs(screen, words, cluster_name, lang)
        return FINE

    return guarded(lang, listed)


def _show_labs(screen: Screen, words: Words, cluster_name: str, lang: str | None) -> None:
    book = ProgressFile(state_dir(cluster_name))
    rows = []
    for name in catalog.pages(catalog.LABS):
        try:
            lab = catalog.load(catalog.LABS, name, catalog.language(lang))
        except LabError as exc:  # one that an author works on hides no other
            rows.append((name, words("listed-fault", fault=exc), "", ""))
            continue
        done = f"{percent(lab, book.load(name))}%"
        rows.append((name, lab.title, str(lab.minutes), done))
    columns = [words(f"list-{column}") for column in ("name", "title", "minutes", "progress")]
    screen.table(columns, rows)
    screen.say(words("list-how"), "quiet")


def run_lab(name: str, cluster_name: str, reset: bool = False, lang: str | None = None, seed: str = "") -> int:
    """Guide through a lab; `reset` removes what it made and forgets the progress. `seed` replaces the learner's own:
    what varies is drawn from it, so a group with one seed sees the same."""

    def ran(screen: Screen, words: Words) -> int:
        book = ProgressFile(state_dir(cluster_name))
        if seed:
            book.reseed(seed)
        lab = catalog.load(catalog.LABS, name, catalog.language(lang))
        lab = varied(lab, draw(lab, book.seed()) if lab.varies else {})
        with on_stage(load_cluster(cluster_name), lab) as stage:
            if reset:
                return _reset(stage, lab, screen, words, book)
            if not ready(stage, lab, screen, words, within=0):
                return FAILED
            return _guide(stage, lab, screen, words, book, cluster_name)

    return guarded(lang, ran)


def prove_lab(name: str, cluster_name: str, lang: str | None = None, keep: bool = False, seed: str = "") -> int:
    """Let a lab prove itself by its own solution, and clean up unless `keep`."""

    def ran(screen: Screen, words: Words) -> int:
        lab = catalog.load(catalog.LABS, name, catalog.language(lang))
        lab = varied(lab, draw(lab, seed))
        with on_stage(load_cluster(cluster_name), lab) as stage:
            if not ready(stage, lab, screen, words):
                return FAILED
            return _prove(stage, lab, screen, words, keep)

    return guarded(lang, ran)


def prove_tight(name: str, cluster_name: str, lang: str | None = None, seed: str = "") -> int:
    """Play the lab once for every step but the last, without that step: a later check must fail and name it."""

    def ran(screen: Screen, words: Words) -> int:
        lab = catalog.load(catalog.LABS, name, catalog.language(lang))
        lab = varied(lab, draw(lab, seed))
        with on_stage(load_cluster(cluster_name), lab) as stage:
            if not ready(stage, lab, screen, words):
                return FAILED
            rows = without_each(stage, lab)
        columns = [words(f"skip-{column}") for column in ("step", "at", "named")]
        screen.table(columns, [(row.step, row.fails_at or words("nowhere-fails"), row.named) for row in rows])
        return FINE if all(row.good for row in rows) else NOT_PASSED

    return guarded(lang, ran)


def ready(stage: Stage, lab: Lab, screen: Screen, words: Words, within: float = acts.AGENT_SECONDS) -> bool:
    """Whether the lab has its agents. A play waits for them, a learner is told at once."""
    missing = lacking(stage, lab, words, within)
    for line in missing:
        screen.say(line, "bad")
    return not missing


def _guide(stage: Stage, lab: Lab, screen: Screen, words: Words, book: ProgressFile, cluster_name: str) -> int:
    """`again` is what the learner types to come back."""
    again = (
        lab.name if cluster_name == os.environ.get("LABKIT_CLUSTER", "lab") else f"{lab.name} --cluster {cluster_name}"
    )
    if unknown := [needed for needed in lab.labs if not book.load(needed).finished]:
        screen.say(words("needs-labs", labs=", ".join(unknown)), "hint")
    desk = theatre.desk(stage, cluster_name) or Plain(stage)
    tutor = Tutor(lab, stage, desk, screen, words, save=lambda progress: book.save(lab.name, progress),
                  labs=lambda: _show_labs(screen, words, cluster_name, words.lang))  # fmt: skip
    try:
        tutor.lead(book.load(lab.name))
    except (Quit, EOFError):
        return _end(screen, words("kept", lab=again), "quiet", NOT_PASSED)
    except KeyboardInterrupt:
        return _end(screen, words("stopped"), "quiet", INTERRUPTED)
    return _end(screen, words("finished", title=lab.title, lab=again), "good", FINE)


def _end(screen: Screen, said: str, mood: str, code: int) -> int:
    """The last word, in the theatre's panes and in the terminal behind them."""
    screen.say(f"\n{said}" if code == INTERRUPTED else said, mood)
    theatre.farewell(said)
    return code


def _reset(stage: Stage, lab: Lab, screen: Screen, words: Words, book: ProgressFile) -> int:
    screen.say(words("resetting"), "quiet")
    troubles = acts.reset(stage, lab)
    book.forget(lab.name)
    for trouble in troubles:
        screen.say(words("reset-failed", what=trouble), "bad")
    if not troubles:
        screen.say(words("reset-done", lab=lab.name), "good")
    return FAILED if troubles else FINE


def _prove(stage: Stage, lab: Lab, screen: Screen, words: Words, keep: bool) -> int:
    started = time.monotonic()
    verdicts: list[Verdict] = []

    def heard(found: Verdict) -> None:
        verdicts.append(found)
        no_yes = (words("no"), words("yes"))
        before = f"{words('play-before')}: {no_yes[found.failed_before]}"
        after = f"{words('play-after')}: {no_yes[found.passed_after]} ({found.seconds:.1f} s)"
        where = f"  {lab.path.name}:{found.line:<5}{found.step:<16}"
        screen.say(f"{where}{before}  {after}", "" if found.good else "bad")
        if not found.passed_after and found.said:
            screen.output(found.said)

    screen.say(f"{lab.name}: {lab.title}")
    acts.reset(stage, lab)
    try:
        good = prove(stage, lab, heard)
    except StepBroken as exc:
        screen.say(str(exc), "bad")
        return FAILED
    finally:
        troubles = [] if keep else acts.reset(stage, lab)
    bad = sum(not found.good for found in verdicts)
    for trouble in troubles:
        screen.say(words("reset-failed", what=trouble), "bad")
    if good and not troubles:
        screen.say(words("play-ok", n=len(verdicts), seconds=time.monotonic() - started), "good")
        return FINE
    screen.say(words("play-bad", n=len(verdicts), bad=bad), "bad")
    return NOT_PASSED


def guarded(lang: str | None, ran: Callable[[Screen, Words], int], screen: Screen | None = None) -> int:
    """Expected failures become one clear message and an exit code."""
    try:
        return ran(screen or Terminal(), Words(catalog.language(lang)))
    except LabError as exc:
        shown = exc.path.relative_to(Path.cwd()) if exc.path.is_relative_to(Path.cwd()) else exc.path
        _fault(str(exc).replace(str(exc.path), str(shown), 1))
        return WRONG
    except CommandFailed as exc:
        _fault(f"{exc}\n{Words(catalog.language(lang))('machines')}")
        return FAILED
    except OSError as exc:  # a disk that is full, a state directory that is somebody else's: not of the machines
        _fault(str(exc))
        return FAILED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED


def _fault(text: str) -> None:
    print(text, file=sys.stderr)
    theatre.farewell(text)
