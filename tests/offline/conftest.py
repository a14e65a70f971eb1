"""A computer that has no network and never had one: a network namespace without a route, a docker of its own there,
empty caches. `make test-offline` (needs root).

The bundle is made outside of it first; LABKIT_BUNDLE names one that is there already.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SPACE = "labkit-offline"


def labkit(*words: str, env: dict[str, str], within: float, inside: bool = True) -> str:
    """What it printed; AssertionError with that when it fails. inside: in the place without a network."""
    command = [sys.executable, "-m", "labkit.cli", *words]
    if inside:
        command = ["nsenter", f"--net=/run/netns/{SPACE}", *command]
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
    folder = tmp_path_factory.mktemp("offline")
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        subprocess.run(["ip", "-n", SPACE, "link", "set", "lo", "up"], check=True)
        env = {
            **os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock", "LABKIT_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"), "LABKIT_CLUSTER": "alone",
        }  # fmt: skip
        with docker(folder, env):
            yield env
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


@contextmanager
def docker(folder: Path, env: dict[str, str]) -> Iterator[None]:
    """dockerd in that namespace, with nothing in it. Its docker0 is the namespace's own."""
    command = [
        "nsenter", f"--net=/run/netns/{SPACE}", "dockerd", "--data-root", str(folder / "data"),
        "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"), "-H", env["DOCKER_HOST"],
    ]  # fmt: skip
    with (folder / "dockerd.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while subprocess.run(["docker", "version"], env=env, capture_output=True, check=False).returncode:
                said = (folder / "dockerd.log").read_text()[-2000:]
                assert process.poll() is None, f"dockerd ended:\n{said}"
                assert time.monotonic() < deadline, f"dockerd does not start:\n{said}"
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait(60)
