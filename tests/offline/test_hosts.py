"""Hosts that somebody has, in a room where nothing can be fetched: their Debian packages come out of the bundle.

The hosts are those of tests/ssh without their mirrors: no sources of packages, no lists, no way out. labkit itself
finds empty caches and a proxy that nobody answers on.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline.conftest import labkit
from tests.ssh import hosts
from tests.ssh.test_hosts import Class

pytestmark = pytest.mark.timeout(1800)
PLACE = hosts.Place("labkit-test-room", "172.31.78.0/24", "br-labkit-room")
HOSTS = ("master", "agent2")
NOTHING_TO_FETCH = "rm -rf /srv/mirror /var/lib/apt/lists/*; echo '# none' >/etc/apt/sources.list"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packages") / "packages.bundle"
    labkit("bundle", "create", "--packages", str(path), env=dict(os.environ), within=1200, inside=False)
    return path


@pytest.fixture
def class_(tmp_path: Path) -> Iterator[Class]:
    if os.geteuid():
        pytest.skip("needs root and docker")
    hosts.remove(PLACE)
    try:
        school = hosts.build(tmp_path, HOSTS, PLACE)
        for name in HOSTS:
            school.sh(name, NOTHING_TO_FETCH)
        class_ = Class(school, tmp_path)
        class_.env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "http_proxy": NOWHERE, "https_proxy": NOWHERE}
        yield class_
    finally:
        hosts.remove(PLACE)


def test_up_on_hosts_that_can_fetch_nothing(packages: Path, class_: Class) -> None:
    up = ("up", "--provider", "ssh", "--inventory", str(class_.inventory))
    assert "these packages are needed: " in class_.labkit(*up, rc=3), "there is no other way"
    maker = re.search(r"made by +(\S+)", class_.labkit("bundle", "show", str(packages)))
    assert maker
    said = class_.labkit(*up, "--bundle", str(packages), "--trust", maker[1])
    assert "nodes Ready: agent2" in said
    for name in HOSTS:  # of the bundle's archive nothing stays, and apt knows of no packages but those that it knew
        assert class_.school.sh(name, "ls -A /var/lib/labkit | grep debian", check=False) == ""
        assert class_.school.sh(name, "find /var/lib/apt/lists -type f -size +0") == ""
    assert "nothing to do" in class_.labkit("up")
    class_.labkit("destroy", "--yes")
    assert class_.differs() == []
