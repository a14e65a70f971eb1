"""The wheel that people install works as the checkout does: labs, walkthroughs and the Vagrantfile are in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import __version__

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip lays it out; its dependencies are those of this Python."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    run = {"check": True, "timeout": 60, "cwd": REPOSITORY, "capture_output": True}
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)], **run)
    (built,) = dist.iterdir()
    assert built.name == f"labkit_classroom-{__version__}-py3-none-any.whl"  # `labkit` is somebody else's on the index
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
    subprocess.run([*pip, str(site), str(built)], **run)
    return site


def python(site: Path, home: Path, *words: str) -> str:
    """What Python printed with that labkit, far from the checkout."""
    env = os.environ | {"PYTHONPATH": str(site), "LABKIT_HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, *words], cwd=home, env=env, text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_describes_a_cluster(site: Path, tmp_path: Path) -> None:
    assert "10.245.1.11" in python(site, tmp_path, str(site / "bin" / "labkit"), "init")


def test_it_has_what_the_checkout_has(site: Path, tmp_path: Path) -> None:
    """Every page with the files and code that it names; for machines the same image and the same bytes, so that who
    moves from a checkout to a wheel rebuilds nothing."""
    here = json.loads(python(REPOSITORY, tmp_path, "-c", ASKED))
    there = json.loads(python(site, tmp_path, "-c", ASKED, "and what pages name"))
    assert Path(there["package"]).is_relative_to(site)
    assert Path(here["package"]).is_relative_to(REPOSITORY)
    assert len(there["pages"]) > 20
    for what in ("pages", "machines"):
        assert there[what] == here[what]
    assert there["faults"] == []
    for name in ("Vagrantfile", "cluster.json", "CHANGELOG.md", "examples/my_scheduler.py"):
        assert Path(there["share"], name).read_bytes() == (REPOSITORY / name).read_bytes()


ASKED = """
import json, labkit, sys
from labkit.cluster import SHARE
from labkit.guide import catalog, lint
from labkit.provision import image, wheels
pages = {**catalog.pages(catalog.LABS), **catalog.pages(catalog.WALKTHROUGHS)}
loaded = sys.argv[1:] and [lint.parse(path) for page in pages.values() for path in catalog.languages_of(page)]
print(json.dumps({
    "package": labkit.__file__, "share": str(SHARE), "pages": sorted(str(path.name) for path in pages.values()),
    "faults": [str(fault) for page in loaded for fault in lint._named(page)],
    "machines": [*image.tags(), wheels.build().digest, wheels.lock_digest()],
}))
"""
