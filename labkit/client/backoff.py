"""How long to wait before the next attempt."""

import random


def delay(failures: int, *, first: float = 0.1, most: float = 5.0, rng: random.Random | None = None) -> float:
    """Seconds to wait after this many failures in a row (1, 2, ...): doubling from `first` up to `most`.

    The second half of the wait is random, so that a hundred clients of a restarted server do not come back at once.
    """
    ceiling = min(most, first * 2.0 ** min(max(failures, 1) - 1, 32))
    return ceiling * (0.5 + 0.5 * (rng or random).random())
