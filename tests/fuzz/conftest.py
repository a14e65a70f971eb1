"""One server for all tests of this layer, and at the end a table of what was asked of it."""

import os
from collections.abc import Iterator

import pytest

from tests.fuzz.counts import Counts
from tests.fuzz.probe import Probe
from tests.fuzz.world import world

SEED = int(os.environ.get("LABKIT_FUZZ_SEED", "20150605"))
COUNTS = Counts()


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """After all that it was asked: every request is in the audit log, nothing but decisions in the journal, exit 0."""
    with world(tmp_path_factory.mktemp("fuzz")) as found:
        yield Probe(found, COUNTS)
        assert found.stop() == 0
        assert not found.complaints()
        assert found.audit.read_text().count("\n") >= sum(
            counter.total() for name, counter in COUNTS.codes.items() if "etcd" not in name
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COUNTS.codes:
        terminalreporter.write_line(f"\nLABKIT_FUZZ_SEED={SEED}\n{COUNTS.table()}")
