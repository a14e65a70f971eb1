"""`make chaos`: the histories of compare and swap for long (MINUTES=10), then every fault on a cluster that is up.

    python -m tests.chaos --minutes 10 [--seed 7]

Each round plays all faults of play.py in another order, on fresh objects; its history is judged before the next begins.
Ends with 0, or with 1 at the first round whose history is wrong, naming the seed that gives the same order again.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter

from tests.chaos.play import order, play, world


async def rounds(minutes: float) -> tuple[int, Counter[str]]:
    """How many were played, and what came of all writes."""
    total: Counter[str] = Counter()
    number = 0
    async with world() as where:
        for number, faults in enumerate(order(minutes * 60), 1):
            outcomes = await play(where, faults, number)
            total += outcomes
            told = ", ".join(f"{count} {word}" for word, count in sorted(outcomes.items()))
            print(f"round {number}: {len(faults)} faults; writes: {told}; nothing lost", flush=True)
    return number, total


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Histories under faults, for long.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order of the faults")
    given = parser.parse_args()
    random.seed(given.seed)
    print(f"seed {given.seed}")
    try:
        number, total = asyncio.run(rounds(given.minutes))
    except AssertionError as exc:
        sys.exit(f"with --seed {given.seed}: {exc}")
    print(f"{number} rounds: {total['acknowledged']} writes acknowledged, {total['refused']} refused, "
          f"{total['unknown']} of unknown fate; no history was wrong")  # fmt: skip


if __name__ == "__main__":
    main()
