"""Every lab, played by its own solution on a running cluster: each check fails before its step and passes after it.

`labkit up` and `make content` play on the cluster `lab`; `make content CLUSTER=NAME` on another one.
"""

import os

import pytest

from labkit.cluster import ClusterError, load
from labkit.guide import catalog, play
from labkit.guide.machines import Machines
from labkit.provision.errors import CommandFailed

CLUSTER = os.environ.get("LABKIT_CLUSTER", "lab")


def trouble() -> str:
    """Why there is no cluster to play on; empty when there is one."""
    try:
        machines = Machines(load(CLUSTER), "tests")
        try:
            return "" if machines.agents() else f"cluster {CLUSTER} has no Ready agent"
        finally:
            machines.close()
    except (ClusterError, CommandFailed) as exc:
        return f"cluster {CLUSTER}: {str(exc).splitlines()[0]}"


@pytest.fixture(scope="module")
def cluster() -> str:
    if why := trouble():
        pytest.skip(f"needs a running cluster (labkit up): {why}")
    return CLUSTER


@pytest.mark.timeout(400)
@pytest.mark.parametrize("lang", catalog.LANGUAGES)
@pytest.mark.parametrize("name", catalog.pages(catalog.LABS))
def test_a_lab_proves_itself(cluster: str, name: str, lang: str) -> None:
    assert play.prove_lab(name, cluster, lang=lang) == play.FINE


@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", catalog.pages(catalog.WALKTHROUGHS))
def test_a_walkthrough_comes_to_its_end(cluster: str, name: str) -> None:
    assert play.run_walkthrough(name, cluster, auto=True) == play.FINE
