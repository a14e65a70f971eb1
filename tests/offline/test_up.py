"""From a bundle to a cluster that plays its first lab, where nothing can be fetched."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.offline.conftest import labkit
from tests.offline.room import SPACE

pytestmark = pytest.mark.timeout(1800)


def test_up_from_a_bundle(bundle: Path, alone: dict[str, str]) -> None:
    routes = subprocess.run(["ip", "-n", SPACE, "route"], capture_output=True, text=True, check=True).stdout
    assert "default" not in routes
    shown = labkit("bundle", "show", str(bundle), env=alone, within=60)
    assert "not known here" in shown
    maker = re.search(r"made by +(\S+)", shown)
    assert maker
    try:
        labkit("up", "--bundle", str(bundle), "--trust", maker[1], env=alone, within=900)
        assert "nothing to do" in labkit("up", "--bundle", str(bundle), env=alone, within=300)
        assert "redis-master" in labkit("lab", "redis-master", "--play", env=alone, within=600)
    finally:
        labkit("destroy", "--yes", env=alone, within=300)
