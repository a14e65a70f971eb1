"""`make fuzz`: bad input by the ten thousand, for so many minutes, against a kube-apiserver of its own.

    python -m tests.fuzz --minutes 10               other requests each time; the number that makes them is printed
    python -m tests.fuzz --seed 42 --minutes 1      the same ones again

Ends with a table (campaigns, requests, answers of each code, faults), and with 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.api.kinds import KINDS
from tests.fuzz.campaigns import Campaign, explore, of_kind, of_routes, of_the_rest
from tests.fuzz.counts import Counts
from tests.fuzz.probe import Probe
from tests.fuzz.sockets import PODS, Said, head, say
from tests.fuzz.world import World, world

EXAMPLES = {"allowed": 3, "forbidden": 3, "paths": 200, "protobuf": 60}
OTHERS = 20  # examples of each other campaign in a round
PATIENCE = 200.0  # seconds after which the server must have given up every half request


def rounds(probe: Probe, number: int, deadline: float) -> int:
    """How many rounds there was time for; each has other requests."""
    done = 0
    while time.monotonic() < deadline:
        for at, campaign in enumerate(_campaigns(probe)):
            if time.monotonic() > deadline:
                return done
            if at % 10 == 0:
                probe.world.furnish()
            explore(probe, campaign, EXAMPLES.get(campaign.name, OTHERS), number + done)
        done += 1
        print(f"round {done}: {probe.counts.requests} requests, {len(probe.counts.faults)} kinds of faults", flush=True)
    return done


def _campaigns(probe: Probe) -> Iterator[Campaign]:
    for kind in KINDS.values():
        yield from of_kind(probe, kind)
    yield from of_the_rest(probe)
    yield from of_routes(probe)


async def half_requests(asked: World) -> list[Said]:
    """Nothing, half a head, half a body, half a chunk: none of them is kept for ever."""
    pieces = (
        b"", b"GET /he", head(b"POST " + PODS, b"Content-Length: 50") + b"{",
        head(b"POST " + PODS, b"Transfer-Encoding: chunked") + b"5\r\n{",
    )  # fmt: skip
    return await asyncio.gather(*(say(asked, data, seconds=PATIENCE) for data in pieces))


def fuzz(minutes: float, number: int) -> int:
    counts, started = Counts(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as asked:
        done = rounds(Probe(asked, counts), number, started + minutes * 60)
        hanging = []
        if minutes * 60 > PATIENCE:
            hanging = [said for said in asyncio.run(half_requests(asked)) if not said.closed]
        complaints, code = asked.complaints(), asked.stop()
    seconds = time.monotonic() - started
    print(f"\n{counts.report()}\n\n{counts.table()}\n{done} whole rounds in {seconds:.0f} s, --seed {number}")
    for complaint in [*complaints, *(f"a half request is kept: {said}" for said in hanging)]:
        print(f"journal: {complaint}")
    return 1 if counts.faults or complaints or hanging or code else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="makes the same requests again")
    chosen = parser.parse_args()
    print(f"--seed {chosen.seed}", flush=True)
    return fuzz(chosen.minutes, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
