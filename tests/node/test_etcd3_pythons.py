"""The mend of etcd3's import on every Python that labkit supports, with the newest protobuf that pip finds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.storage.test_etcd3_import import CHECK

ROOT = Path(__file__).resolve().parents[2]


def interpreter(version: str) -> str:
    """A Python of this version on PATH, under pyenv, or known to uv."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        return sys.executable
    candidates = [
        shutil.which(f"python{version}"),
        *map(str, Path.home().glob(f".pyenv/versions/{version}*/bin/python")),
    ]
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", "print()"], capture_output=True, timeout=30, check=False)
        if done.returncode == 0:
            return candidate
    pytest.skip(f"no Python {version} on this machine: apt-get install python{version}, or pyenv install {version}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_imports(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    subprocess.run([python, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=60, capture_output=True)
    venv = str(tmp_path / "venv" / "bin" / "python")
    packages = ["etcd3==0.12.0", "protobuf", "grpcio", "tenacity", "six"]
    pip = [venv, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot fetch etcd3 here: {done.stderr.strip().splitlines()[-1:]}")
    done = subprocess.run([venv, "-c", CHECK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
