"""`python -m labkit.client.own_component FILE`: the life of a component that is one file of somebody's own.

The file has a coroutine function `run(client)`, which works until it is cancelled; all the rest is here: who it is (the
kubeconfig), SIGTERM, and telling systemd that it has started. `labkit push FILE` makes it a service of the master;
examples/ has a scheduler and a controller. What the machines' Python knows can be imported, the components included.
"""

import argparse
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from labkit.client.flags import client_of
from labkit.client.process import run_until_signal
from labkit.client.rest import Client
from labkit.systemd import notify_ready

Run = Callable[[Client], Awaitable[None]]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="own-component", description="Runs `async def run(client)` of a file.")
    parser.add_argument("file", type=Path, help="a Python file; examples/my_scheduler.py is one")
    parser.add_argument(
        "--kubeconfig", required=True,
        help="where kube-apiserver is, and who we are; on the host: `labkit kubeconfig -o FILE`",
    )  # fmt: skip
    return parser


def load(path: Path) -> Run:
    """The file's `run`; what is wrong with the file comes out as it is, with its line."""
    run = runpy.run_path(str(path), run_name=path.stem).get("run")
    if not callable(run):
        raise SystemExit(f"{path}: expected `async def run(client)`, the component's work")
    return cast(Run, run)


async def serve(run: Run, client: Client) -> None:
    async with client:
        notify_ready()
        await run(client)


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    client = client_of(parser, given)
    run_until_signal(serve(load(given.file), client))


if __name__ == "__main__":
    main()
