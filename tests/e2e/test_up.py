"""`labkit up` from another Python than the machines': what is fetched and built fits the machine's, not the host's.

The host runs 3.12 or 3.13, the machine Debian 12's 3.11; one machine is master and agent in one.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Lab, docker

CLUSTER = "e2epy"
REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)


def other_python() -> str | None:
    """A python of another version than the machines' 3.11, with venv."""
    places = [*os.environ.get("PATH", "").split(":"), *map(str, Path.home().glob(".pyenv/versions/3.1[23]*/bin"))]
    for name in ("python3.12", "python3.13"):
        for path in filter(None, (shutil.which(name, path=place) for place in places)):
            if (
                subprocess.run(
                    [path, "-c", "import ensurepip"], capture_output=True, timeout=20, check=False
                ).returncode
                == 0
            ):
                return path
    return None


@pytest.fixture(scope="module")
def labkit(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> list[str]:
    """`labkit` of a virtual environment with the other Python."""
    python = other_python()
    if python is None:
        pytest.skip("needs python3.12 or python3.13 on PATH, with venv: a host that is newer than its machines")
    venv = tmp_path_factory.mktemp("host") / "venv"
    subprocess.run([python, "-m", "venv", venv], check=True, timeout=120)
    subprocess.run(
        [venv / "bin/pip", "install", "--quiet", "--editable", f"{REPOSITORY}[host]"], check=True, timeout=300
    )
    return [str(venv / "bin/labkit")]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> dict[str, str]:
    """A state directory of its own, the layer's image, and a wheel cache that holds nothing yet; packages are kept."""
    home = tmp_path_factory.mktemp("state")
    return lab.env | {"LABKIT_HOME": str(home), "LABKIT_CLUSTER": CLUSTER, "LABKIT_WHEELS": str(home / "wheels")}


def run(labkit: list[str], env: dict[str, str], *words: str, within: float = 120) -> str:
    done = subprocess.run(
        [*labkit, *words], env=env, text=True, timeout=within, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"labkit {' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def test_a_machine_with_3_11_is_provisioned_from_a_newer_python(labkit: list[str], env: dict[str, str]) -> None:
    run(labkit, env, "init", "--agents", "0", "--machines", "10.245.41.0/24")
    path = Path(env["LABKIT_HOME"]) / CLUSTER / "cluster.json"
    cluster = json.loads(path.read_text())
    cluster["machines"][0]["roles"] = ["master", "agent"]
    path.write_text(json.dumps(cluster))
    try:
        printed = run(labkit, env, "up", within=700)
        assert "Python 3.11" in printed
        asked = "/opt/labkit/venv/bin/python -c 'import sys, grpc, aiohttp, uvloop; print(sys.version_info[:2])'"
        assert run(labkit, env, "ssh", "master", asked).strip() == "(3, 11)"
        names = [path.name for path in Path(env["LABKIT_WHEELS"]).rglob("*.whl")]
        assert any(re.match(r"etcd3-.*-none-any\.whl", name) for name in names)
        assert not [name for name in names if "cp312" in name or "cp313" in name]
        assert "master" in run(labkit, env, "ssh", "master", "kubectl get nodes | grep ' Ready '")
        assert "nothing to do" in run(labkit, env, "up")
    finally:
        run(labkit, env, "destroy", "--yes")
    assert not docker("ps", "-aq", "--filter", f"label=labkit.cluster={CLUSTER}")
