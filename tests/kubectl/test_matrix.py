"""All commands with the oldest kubectl, two on the way and the newest (`make matrix`: with all of them)."""

from pathlib import Path

import pytest

from tests.kubectl import report
from tests.kubectl.cluster import cluster
from tests.kubectl.play import Call, Row, Stored, play_all
from tests.kubectl.rows import ROWS
from tests.kubectl.versions import DEBIAN, IN_MAKE_TEST, NEWEST, VERSIONS, NotToBeHad, fetched


@pytest.mark.timeout(300)  # the download of a first time included
@pytest.mark.parametrize("version", IN_MAKE_TEST)
async def test_every_command(version: str, tmp_path: Path) -> None:
    try:
        binary = fetched(version)
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    async with cluster(tmp_path) as lab:
        results = await play_all(lab, version, binary, ROWS)
        wrong = report.failures(results)
    slowest = ", ".join(f"{one.row} {one.seconds:.1f} s" for one in sorted(results, key=lambda one: -one.seconds)[:5])
    print(f"kubectl {version}: {report.summary([version], results)}; slowest: {slowest}")
    assert not wrong, "\n".join(wrong)
    assert len(results) > 80


@pytest.mark.timeout(300)
def test_an_old_and_a_newer_one_are_there() -> None:
    """Without them the tests above would be skipped, and nobody would notice."""
    fetched(DEBIAN)
    reasons = []
    for version in IN_MAKE_TEST[1:]:
        try:
            fetched(version)
            return
        except NotToBeHad as reason:
            reasons.append(str(reason))
    pytest.fail("no kubectl newer than 1.20: " + "; ".join(reasons))


def test_each_version_has_each_command_once() -> None:
    """A row for an older and one for a newer form do not overlap, and no name is used twice."""
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert (VERSIONS[0], VERSIONS[-1]) == (DEBIAN, NEWEST)
    for version in VERSIONS:
        assert sum(row.is_for(version) for row in ROWS) > 80


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_can_fail(row: Row) -> None:
    """Each of its calls expects something; a row that is only a coroutine function asserts on its own."""
    for step in row.steps:
        if isinstance(step, Call):
            assert step.says or step.table or step.prints is not None, step
            assert all(pattern.strip("^$") for pattern in step.says), f"a pattern that fits everything: {step}"
        elif isinstance(step, Stored):
            assert step.path
    assert any(not isinstance(step, Stored) for step in row.steps), "kubectl is never called"
