"""What holds up a deletion, with literals."""

import pytest

from labkit.api.finalizers import last_taken, while_deleted
from labkit.api.types import ConfigMap, DeleteOptions, Namespace, NamespaceSpec, ObjectMeta

MINE = "example.org/mine"
SAID = {
    "Background": DeleteOptions(propagation_policy="Background"),
    "Foreground": DeleteOptions(propagation_policy="Foreground"),
    "Orphan": DeleteOptions(propagation_policy="Orphan"),
    "leave": DeleteOptions(orphan_dependents=True),
    "take": DeleteOptions(orphan_dependents=False),
    "": DeleteOptions(),
}


@pytest.mark.parametrize(
    ("there", "said", "orphans", "then"),
    [
        ([], "", False, []),
        ([], "", True, ["orphan"]),
        ([MINE], "", False, [MINE]),
        ([MINE, "foregroundDeletion"], "", True, [MINE, "foregroundDeletion"]),  # said before
        (["orphan"], "", False, ["orphan"]),
        ([], "Background", True, []),
        (["orphan", MINE], "Background", False, [MINE]),
        ([MINE], "Foreground", True, [MINE, "foregroundDeletion"]),
        (["orphan"], "Foreground", False, ["foregroundDeletion"]),
        ([], "Orphan", False, ["orphan"]),
        ([], "leave", False, ["orphan"]),
        ([], "take", True, []),
    ],
)
def test_finalizers_of_what_is_deleted(there: list[str], said: str, orphans: bool, then: list[str]) -> None:
    assert while_deleted(there, SAID[said], orphans=orphans) == then


def thing(*finalizers: str, ends: bool = True, grace: int | None = 0) -> ConfigMap:
    when = "2015-06-01T00:00:00Z" if ends else None
    meta = ObjectMeta(finalizers=list(finalizers), deletion_timestamp=when, deletion_grace_period_seconds=grace)
    return ConfigMap(metadata=meta)


def test_the_last_finalizer() -> None:
    assert last_taken(thing(MINE), thing())
    assert not last_taken(thing(MINE), thing(MINE))
    assert not last_taken(thing(), thing())
    assert not last_taken(thing(MINE, ends=False), thing(ends=False))
    assert not last_taken(thing(MINE, grace=30), thing(grace=30))  # a pod whose containers still end


def test_a_namespace_that_is_being_emptied_stays() -> None:
    def space(*finalizers: str, emptied: bool) -> Namespace:
        spec = NamespaceSpec(finalizers=[] if emptied else ["kubernetes"])
        return Namespace(metadata=thing(*finalizers).metadata, spec=spec)

    assert not last_taken(space(MINE, emptied=False), space(emptied=False))
    assert last_taken(space(MINE, emptied=True), space(emptied=True))
