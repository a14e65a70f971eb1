"""One cluster for the whole layer: from no machines and no image to no leftovers, through the command line.

The tests of this layer run in the order of their files' names and build on each other, as a learner's hour does.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labkit.guide import choice

CLUSTER = "e2e"
IMAGE_REPOSITORY = "labkit-e2e-node"  # so that the image is really built here, and nobody's own image is touched


@dataclass
class Lab:
    """A learner with a shell."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def labkit(self, *words: str, within: float = 300, rc: int | None = 0, stdin: str = "") -> str:
        """What a labkit command printed, both streams; fails unless it ended with `rc` (None: whatever)."""
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", *words], env=self.env, input=stdin, text=True, timeout=within,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert rc is None or done.returncode == rc, (
            f"labkit {' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
        )
        return done.stdout

    def on(self, machine: str, script: str, within: float = 60, rc: int | None = 0) -> str:
        """What a shell script printed on a machine, run as root."""
        return self.labkit("ssh", machine, script, within=within, rc=rc).strip()

    def kubectl(self, *words: str, within: float = 60) -> str:
        """kubectl on the master."""
        return self.on("master", "kubectl " + " ".join(map(quoted, words)), within=within)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    labs = ", ".join(choice.chosen_labs())
    terminalreporter.write_line(
        f"labs: {labs} (chosen by what is checked out, {choice.seed()}; {choice.WISH}=name,name chooses others)"
    )


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def images() -> list[str]:
    """What this layer built: the node image and what it stands on, by name."""
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={IMAGE_REPOSITORY}*")
    return sorted(names.split(), key=len)  # the node image before its base


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("labkit-home")
    env = os.environ | {
        "LABKIT_HOME": str(home),
        "LABKIT_CLUSTER": CLUSTER,
        "LABKIT_IMAGE_REPOSITORY": IMAGE_REPOSITORY,
        "COLUMNS": "120",
    }
    for image in images():  # what an interrupted run left
        docker("rmi", "-f", image)
    lab = Lab(home, env)
    lab.labkit("init", "--agents", "2")
    yield lab
    lab.labkit("destroy", "--yes", rc=None)
    for image in images():
        docker("rmi", "-f", image)
    shutil.rmtree(home, ignore_errors=True)
