"""The next step about a namespace that was deleted."""

import pytest

from labkit.api.types import Namespace, NamespaceSpec, ObjectMeta
from labkit.components.kube_controller_manager.namespace import Step, in_order, what_is_left, without_finalizer


def namespace(*finalizers: str, deleted: bool = True) -> Namespace:
    meta = ObjectMeta(name="x", deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None)
    return Namespace(metadata=meta, spec=NamespaceSpec(finalizers=list(finalizers)))


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        (namespace("kubernetes", deleted=False), {"pods": 3}, Step()),
        (namespace("kubernetes"), {"pods": 3, "services": 0}, Step(delete=["pods"])),
        (namespace("kubernetes"), {"pods": 0, "services": 0}, Step(finalize=True)),
        (namespace("kubernetes", "example.com/mine"), {}, Step(finalize=True)),
        (namespace("example.com/mine"), {"pods": 1}, Step()),
        (namespace(), {}, Step(remove=True)),
    ],
)
def test_next_step(given: Namespace, found: dict[str, int], expected: Step) -> None:
    assert what_is_left(given, found) == expected


def test_makers_go_before_what_they_make_and_events_last() -> None:
    resources = {"pods": 1, "events": 1, "endpoints": 1, "services": 1, "replicationcontrollers": 1}
    assert in_order(resources) == ["replicationcontrollers", "services", "endpoints", "pods", "events"]


def test_only_our_finalizer_is_taken() -> None:
    assert without_finalizer(namespace("kubernetes", "example.com/mine")).spec.finalizers == ["example.com/mine"]
