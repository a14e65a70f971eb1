"""A computer that has no network and never had one: a network namespace without a route, a docker of its own there,
empty caches. Needs root.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPACE = "labkit-offline"
INSIDE = ["nsenter", f"--net=/run/netns/{SPACE}"]


@contextmanager
def room(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a program there; to be started with INSIDE in front."""
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        subprocess.run(["ip", "-n", SPACE, "link", "set", "lo", "up"], check=True)
        env = {
            **os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock", "LABKIT_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"), "LABKIT_CLUSTER": "alone",
        }  # fmt: skip
        for variable in ("LABKIT_WHEELS", "LABKIT_IMAGE_REPOSITORY"):
            env.pop(variable, None)
        with docker(folder, env):
            yield env
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


@contextmanager
def docker(folder: Path, env: dict[str, str]) -> Iterator[None]:
    """dockerd in that namespace, with nothing in it. Its docker0 is the namespace's own."""
    command = [
        *INSIDE, "dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
        "--pidfile", str(folder / "pid"), "-H", env["DOCKER_HOST"],
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
            shutil.rmtree(folder / "data", ignore_errors=True)  # a gigabyte
