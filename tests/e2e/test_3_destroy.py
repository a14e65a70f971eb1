"""What is left of a cluster when it is destroyed: nothing."""

import json
import os
import subprocess

import pytest

from tests.e2e.conftest import CLUSTER, Lab, docker
from tests.e2e.test_1_cluster import fences, machine_ids

pytestmark = pytest.mark.timeout(300)


def test_destroy_asks_first_and_leaves_nothing(lab: Lab) -> None:
    lab.labkit("destroy", stdin="n\n", rc=None)
    assert machine_ids()
    volumes = {
        m["Name"]
        for name in machine_ids()
        for m in json.loads(docker("inspect", name))[0]["Mounts"]
        if m["Type"] == "volume"
    }
    lab.labkit("destroy", "--yes", within=180)
    assert not machine_ids()
    assert not docker("network", "ls", "-q", "--filter", f"name=^{CLUSTER}-net$")
    assert not volumes & set(docker("volume", "ls", "-q").split())
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, timeout=10, check=True).stdout
    assert f"br-{CLUSTER}" not in links
    assert os.geteuid() != 0 or not fences()
