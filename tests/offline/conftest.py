"""`make test-offline` (needs root): the bundle is made outside of the room first, unless LABKIT_BUNDLE names one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline.room import INSIDE, room


def labkit(*words: str, env: dict[str, str], within: float, inside: bool = True) -> str:
    """What it printed; AssertionError with that when it fails. inside: in the place without a network."""
    command = [sys.executable, "-m", "labkit.cli", *words]
    if inside:
        command = [*INSIDE, *command]
    done = subprocess.run(
        command, env=env, text=True, timeout=within, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    print(f"$ labkit {' '.join(words)}\n{done.stdout}", flush=True)
    assert done.returncode == 0, f"labkit {' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("LABKIT_BUNDLE"):
        return Path(given)
    path = tmp_path_factory.mktemp("bundle") / "labkit.bundle"
    labkit("bundle", "create", str(path), env=dict(os.environ), within=900, inside=False)
    return path


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the place without a network."""
    if os.geteuid():
        pytest.skip("needs root, for a network namespace")
    with room(tmp_path_factory.mktemp("offline")) as env:
        yield env
