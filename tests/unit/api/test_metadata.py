"""What is true of the metadata of every kind: owners, finalizers, annotations."""

from typing import Any

import pytest

from tests.unit.api.reading import faults, read, update_faults

OWNER = {"apiVersion": "v1", "kind": "ReplicationController", "name": "rc", "uid": "1"}
KIND = "ConfigMap"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"ownerReferences": [OWNER, OWNER | {"controller": True}]}, []),
        ({"ownerReferences": [OWNER, {"kind": "Pod", "uid": "1"}]},
         [f"metadata.ownerReferences[1].{name}: required value" for name in ("apiVersion", "name")]),
        ({"finalizers": ["example.com/mine", "kubernetes", "foregroundDeletion"]}, []),
        ({"finalizers": ["kubernetes", "mine"]},
         ["metadata.finalizers[1]: invalid value 'mine': finalizer name is neither a standard finalizer name nor is it "
          "fully qualified"]),
        ({"annotations": {"a": "x" * (65536 - 1)}}, []),
        ({"annotations": {"a": "ü" * 32768}}, ["metadata.annotations: invalid value '': must have at most 65536 "
                                                "characters"]),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_of_new_and_changed_objects(metadata: dict[str, Any], expected: list[str]) -> None:
    assert faults(KIND, metadata={"name": "x"} | metadata) == expected
    changed = update_faults(read(KIND, metadata={"name": "x"} | metadata), read(KIND))
    assert set(changed) == set(expected)  # the original looks twice at some kinds, and says so twice


def test_only_one_owner_is_the_controller() -> None:
    (fault,) = faults(KIND, metadata={"name": "x", "ownerReferences": [OWNER | {"controller": True}] * 2})
    assert fault.startswith("metadata.ownerReferences: invalid value")
    assert fault.endswith("only one reference can have controller set to true")


def test_a_names_prefix_that_is_a_digit_and_a_dash_is_fine() -> None:
    assert faults(KIND, metadata={"name": "x", "generateName": "1-"}) == []
