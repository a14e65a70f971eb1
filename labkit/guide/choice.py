"""Which labs `make test` plays: redis-master always, others in turn, as many as fit into its minutes.

Others are labs that `make labs SKIP=1` has proven whole, the steps left out included.

The seed is the hash of the labs and of labkit as git has them checked out (the date where there is no git): the same
sources always play the same labs, whoever tests them, and every change of them plays others.
LABKIT_LABS=name,name (or `all`) in the environment chooses instead. `make labs` plays them all.
"""

import os
import random
import subprocess
import time
from collections.abc import Mapping

from labkit.cluster import REPOSITORY
from labkit.guide import catalog, played

ALWAYS = "redis-master"
SECONDS = 120.0  # for all of them together
UNKNOWN = 60.0  # what redis-master is taken for if it was never played
WISH = "LABKIT_LABS"


def choose(seconds: Mapping[str, float], seed: str, budget: float = SECONDS) -> list[str]:
    """Names of labs whose plays last no longer than `budget` together, redis-master first."""
    left = budget - seconds[ALWAYS]
    chosen = [ALWAYS]
    for name in random.Random(seed).sample(others := sorted(seconds.keys() - {ALWAYS}), len(others)):
        if seconds[name] <= left:
            chosen.append(name)
            left -= seconds[name]
    return chosen


def seed() -> str:
    """The hashes of what is played and of what plays it, or the date."""
    trees = ["HEAD:labs", "HEAD:labkit", "HEAD:walkthroughs"]
    asked = subprocess.run(["git", "rev-parse", *trees], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if asked.returncode:
        return time.strftime("%Y-%m-%d")
    return "-".join(tree[:7] for tree in asked.stdout.split())


def chosen_labs() -> list[str]:
    wish = os.environ.get(WISH, "").replace(",", " ").split()
    labs = catalog.pages(catalog.LABS)
    if wish == ["all"]:
        return list(labs)
    plays = {name: played.load(page) for name, page in labs.items()}
    proven = {name: play.seconds for name, play in plays.items() if play and play.good and play.skips and play.tight}
    return wish or choose({ALWAYS: UNKNOWN} | proven, seed())


def chosen_walkthroughs() -> list[str]:
    """follow-a-pod, and one of the others."""
    pages = list(catalog.pages(catalog.WALKTHROUGHS))
    others = [name for name in pages if name != "follow-a-pod"]
    return ["follow-a-pod", *([random.Random(seed()).choice(others)] if others else [])]
