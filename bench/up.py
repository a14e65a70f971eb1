"""How long a learner waits for machines: the whole cluster, one agent more, back to before the lab.

Uses clusters of its own, made and destroyed here, through the command line. The first row is `labkit up --bundle` where
there is nothing: in a network namespace without a route, a docker with nothing in it, empty caches (tests/offline; as
root only). LABKIT_BUNDLE=FILE spares making the bundle; LABKIT_BENCH_LIBVIRT=1 adds three virtual machines from a box
that was built before.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.lab import Lab
from bench.rows import Row
from tests.offline.room import INSIDE, room

Say = Callable[[str], None]
RANGE = "10.245.240.0/24"  # beside clusters of yours, which LABKIT_HOME here does not know of


def rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        alone = [] if os.geteuid() else from_bundle(Path(home), say)
        machines = virtual(f"{home}/virtual", say) if os.environ.get("LABKIT_BENCH_LIBVIRT") else []
        return [*alone, *from_image(f"{home}/present", say), *machines]


def from_bundle(folder: Path, say: Say) -> list[Row]:
    """Its maker is trusted before: comparing fingerprints is a person's time."""
    bundle = Path(os.environ.get("LABKIT_BUNDLE") or folder / "labkit.bundle")
    if not bundle.exists():
        say("labkit bundle create")
        Lab(str(folder / "maker")).labkit("bundle", "create", str(bundle), within=900)
    say("a docker with nothing in it")
    with room(folder) as env:
        lab = Lab(env["LABKIT_HOME"], {**env, "LABKIT_CLUSTER": "bench"}, INSIDE)
        maker = next(word for word in lab.labkit("bundle", "show", str(bundle))[0].split() if word.count("-") == 7)
        say("labkit up --bundle")
        try:
            _, seconds = lab.labkit("up", "--bundle", str(bundle), "--trust", maker)
        finally:
            lab.labkit("destroy", "--yes", within=180)
    return [lower("labkit up --bundle, from nothing, three machines to all Ready", seconds, goal=90)]


def virtual(home: str, say: Say) -> list[Row]:
    lab = Lab(home)
    lab.labkit("box", "build", within=2400)
    lab.labkit("init", "--machines", RANGE)
    say("labkit up --provider libvirt")
    try:
        _, seconds = lab.labkit("up", "--provider", "libvirt", within=1800)
    finally:
        lab.labkit("destroy", "--yes", within=300)
    return [lower("labkit up --provider libvirt, box present, three virtual machines to all Ready", seconds, goal=300)]


def from_image(home: str, say: Say) -> list[Row]:
    lab = Lab(home)
    lab.labkit("init", "--agents", "2", "--machines", RANGE)
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
