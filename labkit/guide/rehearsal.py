"""`make labs`: every lab, played by its own solution on a running cluster: python -m labkit.guide.rehearsal [NAME...]

    --cluster NAME      on this cluster
    --skip              also once for each step, without it: a later check has to fail and to name it
    --lang zh           the Chinese pages (their commands are the same; the linter says so)
    --seed WORD         what varies is drawn from it
    --page              play nothing, only write docs/labs.md from what the last plays found

Labs that stay in one namespace (`parallel: true`) are played several at once, each in a namespace of its own; the
others in turn, then the walkthroughs. What is found goes into played.json beside each lab, the list into docs/labs.md.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from labkit.cluster import ClusterError
from labkit.cluster import load as load_cluster
from labkit.guide import acts, catalog, playbill, played
from labkit.guide.drift import drift
from labkit.guide.format import Lab, LabError, Run
from labkit.guide.machines import lacking, on_stage
from labkit.guide.played import Played
from labkit.guide.proof import StepBroken, Verdict, prove, without_each
from labkit.guide.rewrite import recordable
from labkit.guide.stage import Outcome, Stage
from labkit.guide.vary import draw, varied
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed

WALK_SECONDS = 300
AT_ONCE = 3  # labs in namespaces of their own; more would wait for the same two cores
Say = Callable[[str], None]
_printing = threading.Lock()


def say(line: str) -> None:
    with _printing:
        print(line, flush=True)


def rehearse(stage: Stage, lab: Lab, skip: bool, say: Say = say) -> Played:
    """Play one lab, and say what did not go as it must."""
    digest, started, drifted = played.digest(lab), time.monotonic(), 0
    as_recorded = lab.values == draw(lab, seed="")  # with other names everything would differ
    verdicts: list[Verdict] = []

    def typed(run: Run, outcome: Outcome) -> None:
        nonlocal drifted
        if as_recorded and run.recorded and (lines := drift(run.recorded.body, recordable(outcome))):
            drifted += 1
            say("\n".join([f"{lab.name}: {lab.path.name}:{run.line} prints other than recorded:", *lines]))

    acts.reset(stage, lab)
    try:
        prove(stage, lab, verdicts.append, typed)
    except StepBroken as exc:
        return Played(digest, time.monotonic() - started, trouble=str(exc))
    finally:
        troubles = acts.reset(stage, lab)
    for each in verdicts:
        if not each.good:
            say(f"{lab.name}: {lab.path.name}:{each.line} ({each.step}) {_fault(each)}: {each.said}")
    seconds = round(time.monotonic() - started, 1)
    before, after = (sum(getattr(each, name) for each in verdicts) for name in ("failed_before", "passed_after"))
    skips = without_each(stage, lab) if skip else ()
    return Played(digest, seconds, len(verdicts), before, after, drifted, skips, trouble="\n".join(troubles))


def _fault(verdict: Verdict) -> str:
    return "passed before its step" if not verdict.failed_before else "did not pass after its step"


class Rehearsal:
    """Plays on one cluster, with what was asked for on the command line."""

    def __init__(self, cluster: str, skip: bool = False, lang: str = "en", seed: str = "") -> None:
        self._cluster, self._skip, self._lang, self._seed = load_cluster(cluster), skip, lang, seed

    def all(self, labs: Sequence[str]) -> bool:
        """Labs that may be played at once first, the others in turn; whether each of them did as it must."""
        several = [name for name in labs if self._lab(name).parallel]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            good = list(pool.map(lambda name: self.lab(name, f"lab-{name}"), several))
        good += [self.lab(name) for name in labs if name not in several]
        return all(good)

    def lab(self, name: str, namespace: str = "") -> bool:
        lab = self._lab(name)
        try:
            with on_stage(self._cluster, lab, namespace) as stage:
                if missing := lacking(stage, lab, Words("en")):
                    raise CommandFailed("master", "; ".join(missing))
                found = rehearse(stage, lab, self._skip)
        except CommandFailed as exc:
            found = Played(played.digest(lab), trouble=str(exc))
        if not self._seed:
            played.save(lab.path, found)
        say(f"{name:<30}{playbill.verdict(found)}")
        return found.good and found.tight

    def _lab(self, name: str) -> Lab:
        lab = catalog.load(catalog.LABS, name, self._lang)
        return varied(lab, draw(lab, self._seed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="labs and walkthroughs; all when none is named")
    parser.add_argument("--cluster", default=os.environ.get("LABKIT_CLUSTER", "lab"))
    parser.add_argument("--skip", action="store_true")
    parser.add_argument("--lang", default="en", choices=catalog.LANGUAGES)
    parser.add_argument("--seed", default="")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    try:
        chosen = catalog.named(given.names)
        shows = [name for name, page in chosen if page.parent == catalog.WALKTHROUGHS]
        started, good = time.monotonic(), True
        if not given.page:
            rehearsal = Rehearsal(given.cluster, given.skip, given.lang, given.seed)
            good = rehearsal.all([name for name, page in chosen if page.parent != catalog.WALKTHROUGHS])
            for name in shows:
                good = _walk(name, given.cluster, given.lang) and good
            say(f"{len(chosen)} played in {(time.monotonic() - started) / 60:.1f} minutes")
        playbill.PAGE.write_text(playbill.page(), encoding="utf-8")
    except (LabError, ClusterError) as exc:
        print(exc, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; `labkit lab NAME --reset` removes what a lab has left", file=sys.stderr)
        return 130
    return 0 if good else 1


def _walk(name: str, cluster: str, lang: str) -> bool:
    started = time.monotonic()
    command = [sys.executable, "-m", "labkit.cli", "walkthrough", name, "--auto", "--cluster", cluster, "--lang", lang]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WALK_SECONDS, check=False)
    if done.returncode:
        say(f"{name}: {done.stdout[-2000:]}{done.stderr}")
    good = "comes to its end" if done.returncode == 0 else f"ENDED WITH {done.returncode}"
    say(f"{name:<30}walkthrough, {time.monotonic() - started:5.1f} s, {good}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
