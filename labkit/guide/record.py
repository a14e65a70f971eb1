"""Refresh what pages show: `python -m labkit.guide.record [NAME...]`, or `make record`.

    --code              only the code in fences with `from=` (no cluster needed)
    --cluster NAME      play the pages on this cluster and write what their commands printed into ```output fences
    --dry-run           write nothing; exit code 1 when something has drifted

Both languages are written from one run, so that they show the same. Nothing in such a fence is ever typed by hand. What
changed by more than ages, names, addresses and ports has *drifted* and is shown: the text around it may be wrong now. A
command whose output speaks of an error that its page does not announce (`fails`) is shown, too.
"""

import argparse
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from labkit.cluster import ClusterError
from labkit.cluster import load as load_cluster
from labkit.guide import acts, catalog
from labkit.guide.drift import drift
from labkit.guide.format import LabError, Picture, Run
from labkit.guide.machines import lacking, on_stage
from labkit.guide.parse import parse
from labkit.guide.pictures import draw
from labkit.guide.proof import StepBroken, prove
from labkit.guide.rewrite import recordable, spoken, with_code, with_outputs
from labkit.guide.stage import Outcome
from labkit.guide.vary import draw as drawn_values
from labkit.guide.vary import varied
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed

# An output that nobody meant to show.
_TROUBLE = re.compile(r"(error:|Error from server|Error:|bash: |.*: command not found|.*: No such file or directory)")


def refresh_code(page: Path, name: str) -> list[Path]:
    """The files that changed."""
    changed = []
    for path in catalog.languages_of(page):
        old = path.read_text(encoding="utf-8")
        new = with_code(old, parse(path, name))
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


@dataclass
class Recorded:
    """What became of one page. `good`: to its end, each check of a lab as it must be, each picture drawn."""

    good: bool
    drifted: int


def record(page: Path, name: str, cluster_name: str, dry_run: bool) -> Recorded:
    """Play the English page, write its outputs into every language."""
    lab = parse(page, name)
    lab = varied(lab, drawn_values(lab, seed=""))
    printed: dict[str, str] = {}
    drifted, troubles = 0, list[str]()

    def typed(run: Run, outcome: Outcome) -> None:
        nonlocal drifted
        printed[spoken(run)] = new = recordable(outcome)
        old = run.recorded.body if run.recorded else ""
        lines = drift(old, new) if old.strip() else []
        if not run.fails:
            lines += [f"! {line}" for line in new.splitlines() if _TROUBLE.match(line)]
        if lines:
            drifted += 1
            print("\n".join([f"{page.parent.name}/{page.name}:{run.line}: drifted:", *lines]), flush=True)

    def drawn(picture: Picture) -> None:
        if not dry_run and (trouble := draw(picture, page, cluster_name, started)):
            troubles.append(trouble)
            print(f"{page.parent.name}/{page.name}:{picture.line}: {picture.command}: {trouble}", flush=True)

    with on_stage(load_cluster(cluster_name), lab) as stage:
        if missing := lacking(stage, lab, Words("en")):
            raise CommandFailed("master", "; ".join(missing))
        acts.reset(stage, lab)
        started = time.time()
        try:
            good = prove(stage, lab, lambda verdict: None, typed, drawn)
        finally:
            acts.reset(stage, lab)
    for path in catalog.languages_of(page) if not dry_run else []:
        text = path.read_text(encoding="utf-8")
        other = parse(path, name)
        path.write_text(with_outputs(text, varied(other, drawn_values(other, seed="")), printed), encoding="utf-8")
    # A walkthrough proves nothing, it has to come to its end.
    good = good or page.parent == catalog.WALKTHROUGHS
    return Recorded(good and not troubles, drifted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="labs or walkthroughs; all when none is named")
    parser.add_argument("--code", action="store_true", help="only refresh the code that pages show")
    parser.add_argument("--dry-run", action="store_true", help="only say what has drifted")
    parser.add_argument("--cluster", default=os.environ.get("LABKIT_CLUSTER", "lab"))
    given = parser.parse_args()
    good, drifted = True, 0
    try:
        for name, page in catalog.named(given.names):
            if not given.code:
                print(f"{name}: playing", flush=True)
                found = record(page, name, given.cluster, given.dry_run)
                good, drifted = good and found.good, drifted + found.drifted
            for path in refresh_code(page, name) if not given.dry_run else []:
                print(f"{name}: code refreshed in {path.name}")
        if not given.code:
            print(f"{drifted} outputs drifted")
    except (LabError, ClusterError) as exc:
        print(exc, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the page that was being played is as it was", file=sys.stderr)
        return 130
    except (CommandFailed, StepBroken) as exc:
        print(exc, file=sys.stderr)
        return 3
    return 0 if good and not (given.dry_run and drifted) else 1


if __name__ == "__main__":
    sys.exit(main())
