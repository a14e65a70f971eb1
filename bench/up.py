"""How long a learner waits for machines: the whole cluster, one agent more, back to before the lab.

Uses a cluster of its own (`bench`), made and destroyed here, through the command line. With LABKIT_BUNDLE=FILE the
first row is `labkit up --bundle FILE` on a host that has neither image nor wheels: make the bundle with the same
LABKIT_IMAGE_REPOSITORY, a name of its own, so that no image of yours is taken for the bundle's.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.lab import Lab
from bench.rows import Row

Say = Callable[[str], None]


def rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        bundle = os.environ.get("LABKIT_BUNDLE")
        return [*(from_bundle(Path(bundle), home, say) if bundle else []), *from_image(home, say)]


def from_bundle(bundle: Path, home: str, say: Say) -> list[Row]:
    """The wheels' and packages' cache is empty; the image's name is one that docker does not know."""
    lab = Lab(home)
    lab._env |= {"LABKIT_WHEELS": f"{home}/no-wheels", "LABKIT_IMAGE_REPOSITORY": "labkit-bench-node"}
    say("labkit up --bundle")
    try:
        _, seconds = lab.labkit("up", "--bundle", str(bundle))
    finally:
        lab.labkit("destroy", "--yes", within=180)
    return [lower("labkit up --bundle, from nothing, three machines to all Ready", seconds, goal=90)]


def from_image(home: str, say: Say) -> list[Row]:
    lab = Lab(home)
    lab.labkit("init", "--agents", "2")
    say("the node image, if it is missing")
    lab.labkit("image", within=900)
    try:
        say("labkit up")
        made = lower("labkit up, image present, three machines to all Ready", lab.labkit("up")[1], goal=30)
        made.note = "kind takes 33 s and k3d 20 s for a cluster of ordinary Kubernetes in containers"
        return [made, *living(lab, say)]
    finally:
        say("destroying the cluster")
        lab.labkit("destroy", "--yes", within=180)


def living(lab: Lab, say: Say) -> list[Row]:
    """What comes after `up`, in the order of a lesson."""
    done = []
    for words, name, goal in (
        (("snapshot", "save", "before"), "labkit snapshot save", None),
        (("agent", "add"), "labkit agent add, to its node Ready", 15.0),
        (("agent", "remove", "agent3"), "labkit agent remove", None),
        (("snapshot", "restore", "before"), "labkit snapshot restore, to all nodes Ready", None),
        (("suspend",), "labkit suspend", None),
        (("resume",), "labkit resume", None),
        (("down",), "labkit down", None),
        (("up",), "labkit up after down, to all nodes Ready", None),
    ):
        say(f"labkit {' '.join(words)}")
        done.append(lower(name, lab.labkit(*words)[1], goal))
    return done


def lower(name: str, seconds: float, goal: float | None = None) -> Row:
    return Row(name=name, value=seconds, unit="s", better="lower", goal=goal)
