"""Refresh what pages show: `python -m labkit.guide.record [NAME...]`, or `make record`.

    --code              only the code in fences with `from=` (no cluster needed)
    --cluster NAME      play the pages on this cluster and write what their commands printed into ```output fences

Both languages are written from one run, so that they show the same. Nothing in such a fence is ever typed by hand.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from labkit.cluster import ClusterError
from labkit.cluster import load as load_cluster
from labkit.guide import acts, catalog
from labkit.guide.format import LabError, Picture, Run
from labkit.guide.machines import Machines
from labkit.guide.parse import parse
from labkit.guide.proof import StepBroken, prove
from labkit.guide.rewrite import recordable, spoken, with_code, with_outputs
from labkit.guide.stage import Outcome
from labkit.guide.vary import draw, varied
from labkit.provision.errors import CommandFailed


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


def record(page: Path, name: str, cluster_name: str) -> bool:
    """Play the English page, write its outputs into every language; False when a lab's check did not do as it must."""
    lab = parse(page, name)
    lab = varied(lab, draw(lab, seed=""))
    printed: dict[str, str] = {}
    stage = Machines(load_cluster(cluster_name), name)

    def typed(run: Run, outcome: Outcome) -> None:
        printed[spoken(run)] = recordable(outcome)

    def drawn(picture: Picture) -> None:
        words = [*picture.command.split()[1:], "--svg", str(page.parent / picture.file), "--cluster", cluster_name]
        subprocess.run(
            [sys.executable, "-m", "labkit.cli", *words], stdout=subprocess.DEVNULL, timeout=120, check=False
        )

    try:
        stage.bring(lab)
        acts.reset(stage, lab)
        good = prove(stage, lab, lambda verdict: None, typed, drawn)
        acts.reset(stage, lab)
    finally:
        stage.close()
    for path in catalog.languages_of(page):
        text = path.read_text(encoding="utf-8")
        other = parse(path, name)
        path.write_text(with_outputs(text, varied(other, draw(other, seed="")), printed), encoding="utf-8")
    return good or page.parent == catalog.WALKTHROUGHS  # a walkthrough proves nothing, it has to come to its end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="labs or walkthroughs; all when none is named")
    parser.add_argument("--code", action="store_true", help="only refresh the code that pages show")
    parser.add_argument("--cluster", default=os.environ.get("LABKIT_CLUSTER", "lab"))
    given = parser.parse_args()
    good = True
    try:
        for name, page in catalog.named(given.names):
            if not given.code:
                print(f"{name}: playing", flush=True)
                good = record(page, name, given.cluster) and good
            for path in refresh_code(page, name):
                print(f"{name}: code refreshed in {path.name}")
    except (LabError, ClusterError) as exc:
        print(exc, file=sys.stderr)
        return 2
    except (CommandFailed, StepBroken) as exc:
        print(exc, file=sys.stderr)
        return 3
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
