"""Who may change what: applies, updates, conflicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, json

from labkit.api.errors import BadRequest, Conflict
from labkit.api.ownership.managers import LAST_APPLIED, Owner, applied, read, updated
from labkit.api.ownership.paths import paths_of, spoken
from labkit.api.types import ConfigMap, ManagedFieldsEntry, Pod

T1, T2 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"
ADA, BOB = Owner("ada", "Apply"), Owner("bob", "Apply")
Document = dict[str, Any]


def cm(labels: dict[str, str] | None = None, **data: str) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": labels or {}}, "data": data}


def live(**data: str) -> Document:
    """One that nobody has applied yet."""
    document = cm(**data)
    return document | {"metadata": document["metadata"] | {"uid": "1", "creationTimestamp": T1}}


def apply(document: Document, config: Document, owner: Owner = ADA, force: bool = False, now: str = T1) -> Document:
    return applied(document, config, ConfigMap, owner, force, now)


def made(config: Document, owner: Owner = ADA) -> Document:
    document = apply({"metadata": {"name": "c"}}, config, owner)
    return document | {"metadata": document["metadata"] | {"uid": "1"}}


def owned(document: Document) -> dict[str, list[str]]:
    """Manager -> fields."""
    entries = convert(document["metadata"]["managedFields"], list[ManagedFieldsEntry])
    return {owner.manager: sorted(map(spoken, share.paths)) for owner, share in read(entries).items()}


def test_who_applies_first_owns_what_was_named() -> None:
    document = made(cm(a="1"))
    assert owned(document) == {"ada": [".data.a", ".metadata.labels"]}
    assert document["metadata"]["managedFields"] == [
        {"manager": "ada", "operation": "Apply", "apiVersion": "v1", "time": T1, "fieldsType": "FieldsV1",
         "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {}}}}
    ]  # fmt: skip


def test_the_same_again_changes_nothing_not_even_the_time() -> None:
    document = made(cm(a="1"))
    assert apply(document, cm(a="1"), now=T2) == document


def test_what_is_not_named_any_more_goes() -> None:
    document = apply(made(cm(a="1", b="2")), cm(a="1"), now=T2)
    assert document["data"] == {"a": "1"}
    assert document["metadata"]["managedFields"][0]["time"] == T2


def test_what_somebody_else_names_too_stays() -> None:
    both = apply(made(cm(a="1", b="2")), cm(b="2"), BOB)
    assert owned(both)["bob"] == [".data.b", ".metadata.labels"]
    assert apply(both, cm(a="1"))["data"] == {"a": "1", "b": "2"}


def test_another_value_of_somebody_elses_field_is_a_conflict() -> None:
    with pytest.raises(Conflict) as caught:
        apply(made(cm(a="1")), cm(a="2"), BOB)
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "ada": .data.a'
    assert caught.value.details
    (cause,) = caught.value.details.causes
    assert (cause.reason, cause.message, cause.field) == ("FieldManagerConflict", 'conflict with "ada"', ".data.a")


def test_several_conflicts_are_told_by_manager() -> None:
    both = apply(made(cm(a="1", b="1")), cm(c="1"), BOB)
    with pytest.raises(Conflict) as caught:
        apply(both, cm(a="2", b="2", c="2"), Owner("eve", "Apply"))
    assert caught.value.message == (
        'Apply failed with 3 conflicts: conflicts with "ada":\n- .data.a\n- .data.b\nconflicts with "bob":\n- .data.c'
    )


def test_force_takes_it_from_the_other() -> None:
    document = apply(made(cm(a="1", b="1")), cm(a="2"), BOB, force=True)
    assert document["data"] == {"a": "2", "b": "1"}
    assert owned(document) == {"ada": [".data.b", ".metadata.labels"], "bob": [".data.a", ".metadata.labels"]}


def test_what_was_there_before_the_first_apply_belongs_to_whoever_made_it() -> None:
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        apply(live(a="1"), cm(a="2"))
    document = apply(live(a="1"), cm(b="1"))
    assert owned(document) == {"ada": [".data.b", ".metadata.labels"],
                               "before-first-apply": [".data.a", ".metadata.labels"]}  # fmt: skip


def test_kubectl_goes_on_with_what_its_client_side_apply_set() -> None:
    before = live(a="1", b="1", c="1")
    text = json.encode(cm(a="1", b="1")).decode()
    before["metadata"]["annotations"] = {LAST_APPLIED: text}
    kubectl = Owner("kubectl", "Apply")
    document = apply(before, cm(a="2"), kubectl)
    assert document["data"] == {"a": "2", "c": "1"}
    assert json.decode(document["metadata"]["annotations"][LAST_APPLIED]) == cm(a="2")
    with pytest.raises(Conflict, match=r"\.data\.c"):
        apply(before, cm(a="2", c="2"), kubectl)


def change(document: Document, owner: Owner, now: str = T2, **data: str) -> Document:
    new = document | {"data": data}
    entries = convert(document["metadata"]["managedFields"], list[ManagedFieldsEntry])
    entries = updated(document, new, entries, ConfigMap, owner, now)
    return new | {"metadata": document["metadata"] | {"managedFields": json.decode(json.encode(entries))}}


EDIT = Owner("kubectl-edit", "Update")


def test_an_update_owns_what_it_changes_and_an_apply_must_ask_for_it() -> None:
    edited = change(made(cm(a="1", b="1")), EDIT, a="2", b="1", c="3")
    assert owned(edited) == {"ada": [".data.b", ".metadata.labels"], "kubectl-edit": [".data.a", ".data.c"]}
    with pytest.raises(Conflict, match=r'conflict with "kubectl-edit" using v1: \.data\.a'):
        apply(edited, cm(a="1", b="1"))
    assert apply(edited, cm(a="2", b="1"))["data"]["a"] == "2"  # the same value: both own it


def test_what_an_update_removes_is_nobodys() -> None:
    document = made(cm(a="1"))
    assert owned(change(document, EDIT, b="1")) == {"ada": [".metadata.labels"], "kubectl-edit": [".data.b"]}


def test_an_empty_entry_ends_the_book_keeping() -> None:
    assert updated(cm(), cm(a="1"), [ManagedFieldsEntry()], ConfigMap, EDIT, T1) == []


@pytest.mark.parametrize(
    "entry",
    [{"manager": "x"}, {"manager": "x", "operation": "Guess", "fieldsType": "FieldsV1"}, {"operation": "Apply"}],
)
def test_an_entry_that_is_none(entry: Document) -> None:
    with pytest.raises(BadRequest, match=r"metadata\.managedFields\[0\]"):
        read([convert(entry, ManagedFieldsEntry)])


def pod(*containers: Document) -> Document:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers)}}


def test_an_element_goes_with_what_the_server_filled_in() -> None:
    def both(document: Document, config: Document) -> Document:
        return applied(document, config, Pod, ADA, False, T1)

    document = both({"metadata": {"name": "p"}}, pod({"name": "a", "image": "x"}, {"name": "b", "image": "y"}))
    document["metadata"]["uid"] = "1"
    document["spec"]["containers"][1]["imagePullPolicy"] = "Always"
    assert both(document, pod({"name": "a", "image": "x"}))["spec"]["containers"] == [{"name": "a", "image": "x"}]


def test_the_elements_come_in_the_order_of_who_applies() -> None:
    there = {"metadata": {"name": "p", "uid": "1"},
             "spec": {"containers": [{"name": "x"}, {"name": "a"}, {"name": "b"}]}}  # fmt: skip
    document = applied(there, pod({"name": "b"}, {"name": "new"}, {"name": "a"}), Pod, ADA, False, T1)
    assert [one["name"] for one in document["spec"]["containers"]] == ["x", "b", "new", "a"]


values = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)
applies = st.lists(st.tuples(st.sampled_from([ADA, BOB]), values, st.booleans()), max_size=6)


@given(applies)
def test_whatever_is_applied(history: list[tuple[Owner, dict[str, str], bool]]) -> None:
    """An apply holds what it said, owns exactly that, and once more changes nothing; all fields have an owner."""
    document = made(cm())
    for owner, data, force in history:
        try:
            document = apply(document, cm(**data), owner, force, T2)
        except Conflict:
            assert not force
            continue
        assert data.items() <= document["data"].items()
        assert set(owned(document)[owner.manager]) == set(map(spoken, paths_of(cm(**data), ConfigMap)))
        assert apply(document, cm(**data), owner, False, T2) == document
        everybodys = {name for fields in owned(document).values() for name in fields}
        assert {f".data.{name}" for name in document["data"]} <= everybodys


@pytest.mark.parametrize("wrong", [{"metadata": ""}, {"metadata": {"annotations": 5}}, {"data": ["a"]}])
def test_what_is_of_another_type_is_refused(wrong: Document) -> None:
    with pytest.raises(BadRequest):
        apply(live(a="1"), cm() | wrong)


def test_an_update_of_what_cannot_be_told_apart_is_not_refused() -> None:
    twice = pod({"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 80}]})
    entry = ManagedFieldsEntry(
        manager="x", operation="Update", api_version="v1", fields_type="FieldsV1", fields_v1={"f:spec": {}}
    )
    assert updated(twice, twice | {"x": 1}, [entry], Pod, EDIT, T1) == [entry]
