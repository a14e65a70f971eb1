"""Whatever is asked of the API server, the answer is in order and the store is whole.

The same requests each time; others with LABKIT_FUZZ_SEED=number, more of them with `make fuzz`.
"""

from collections.abc import Iterator

import pytest

from labkit.api.kinds import KINDS, Kind
from tests.fuzz.campaigns import explore, of_kind, of_routes, of_the_rest
from tests.fuzz.conftest import SEED
from tests.fuzz.probe import TABLE, Probe


@pytest.fixture(autouse=True)
def nothing_is_wrong(probe: Probe) -> Iterator[None]:
    """A test fails when it has found something that was not there before it."""
    before = set(probe.counts.faults)
    yield
    found = {key: probe.counts.examples[key] for key in probe.counts.faults if key not in before}
    assert not found, f"LABKIT_FUZZ_SEED={SEED}\n" + "\n".join(f"--- {key}\n{text}" for key, text in found.items())
    assert not probe.world.complaints()


@pytest.mark.timeout(240)
def test_every_operation_of_the_openapi_documents(probe: Probe) -> None:
    for number, campaign in enumerate(of_routes(probe)):
        if number % 10 == 0:
            probe.world.furnish()
        explore(probe, campaign, 2, SEED)
    assert len(probe.counts.routes) > 150


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.resource)
def test_objects_and_patches(probe: Probe, kind: Kind) -> None:
    world = probe.world
    world.furnish()
    before, revision = world.objects(kind), world.revision()
    for campaign in of_kind(probe, kind):
        explore(probe, campaign, 12, SEED)
    world.furnish([kind])
    mark, after = world.mark(kind), world.objects(kind)
    for type, found in world.replayed(kind, revision, mark):
        if type == "DELETED":
            del before[found["metadata"]["selfLink"]]
        else:
            before[found["metadata"]["selfLink"]] = found
    assert before == after  # a watch tells the same story
    assert len(world.get(f"{kind.root}/{kind.resource}", Accept=TABLE)["rows"]) == len(after)


@pytest.mark.timeout(120)
def test_what_belongs_to_no_kind(probe: Probe) -> None:
    probe.world.furnish()
    for campaign in of_the_rest(probe):
        explore(probe, campaign, 300 if campaign.name == "paths" else 30, SEED)
        probe.world.furnish()
