"""Selectors, amounts and patches against what they mean, told a second time and independently."""

import copy
import json
from fractions import Fraction
from typing import Any

from hypothesis import assume, given, seed, settings
from hypothesis import strategies as st

from labkit.api import codec, patch, quantity
from labkit.api.errors import ApiError
from labkit.api.fields import parse_field_selector
from labkit.api.kinds import KINDS, kind_of
from labkit.api.labels import parse_selector
from labkit.api.ownership.managers import Owner, applied
from labkit.api.types import Pod
from tests.fuzz import patches, values
from tests.fuzz.conftest import SEED
from tests.fuzz.objects import document

KEYS, VALUES = st.sampled_from(["app", "tier", "in", "example.com/x"]), st.sampled_from(["a", "b", "notin", ""])
LABELS = st.dictionaries(KEYS, VALUES)
fixed = settings(max_examples=300, deadline=None, database=None)


# -- label selectors: (key, operator, values) as text, and as what it means ------------------------------------------

requirements = st.lists(
    st.tuples(
        KEYS, st.sampled_from(["=", "==", "!=", "in", "notin", "", "!"]), st.lists(VALUES, min_size=1, max_size=3)
    ),
    max_size=4,
)


def as_text(key: str, operator: str, chosen: list[str]) -> str:
    if operator in ("in", "notin"):
        return f"{key} {operator} ({', '.join(chosen)})"
    return {"": key, "!": f"!{key}"}.get(operator, f"{key}{operator}{chosen[0]}")


def holds(labels: dict[str, str], key: str, operator: str, chosen: list[str]) -> bool:
    if operator in ("", "!"):
        return (key in labels) == (operator == "")
    wanted = set(chosen) if operator in ("in", "notin") else {chosen[0]}
    return (labels.get(key) in wanted) == (operator in ("=", "==", "in"))


@seed(SEED)
@fixed
@given(requirements, LABELS)
def test_label_selectors(wanted: list[tuple[str, str, list[str]]], labels: dict[str, str]) -> None:
    selector = parse_selector(",".join(as_text(*one) for one in wanted))
    assert selector.matches(labels) == all(holds(labels, *one) for one in wanted)
    assert parse_selector(str(selector)) == selector


@seed(SEED)
@fixed
@given(values.label_selectors() | st.text(), LABELS)
def test_any_text_is_a_label_selector_or_refused(text: str, labels: dict[str, str]) -> None:
    try:
        selector = parse_selector(text)
    except ApiError as error:
        assert (error.code, bool(error.message)) == (400, True)  # noqa: PT017  (both outcomes are fine)
        return
    assert parse_selector(str(selector)).matches(labels) == selector.matches(labels)


# -- field selectors -------------------------------------------------------------------------------------------------

FIELDS = st.sampled_from(["metadata.name", "status.phase", "spec.nodeName"])
TEXTS = st.text(st.sampled_from("ab,=\\! "), max_size=6)


@seed(SEED)
@fixed
@given(st.lists(st.tuples(FIELDS, st.booleans(), TEXTS), max_size=3), st.dictionaries(FIELDS, TEXTS))
def test_field_selectors(wanted: list[tuple[str, bool, str]], fields: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")

    text = ",".join(f"{label}{'=' if equal else '!='}{escaped(value)}" for label, equal, value in wanted)
    selector = parse_field_selector(kind_of(Pod), text)
    assert selector.matches(fields) == all((fields.get(label, "") == value) == equal for label, equal, value in wanted)
    assert parse_field_selector(kind_of(Pod), str(selector)) == selector


@seed(SEED)
@fixed
@given(st.sampled_from(list(KINDS.values())), values.field_selectors() | st.text())
def test_any_text_is_a_field_selector_or_refused(kind: Any, text: str) -> None:
    try:
        parse_field_selector(kind, text)
    except ApiError as error:
        assert (error.code, bool(error.message)) == (400, True)  # noqa: PT017


# -- amounts ---------------------------------------------------------------------------------------------------------

SUFFIXES = {"m": Fraction(1, 1000), "": Fraction(1), "e3": Fraction(1000), "E-2": Fraction(1, 100)}
SUFFIXES |= {letter: Fraction(1000) ** power for power, letter in enumerate("kMGTPE", 1)}
SUFFIXES |= {f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", 1)}


@seed(SEED)
@fixed
@given(st.decimals(-(10**6), 10**6, places=4), st.sampled_from(sorted(SUFFIXES)))
def test_amounts(number: Any, suffix: str) -> None:
    exact = Fraction(str(number)) * SUFFIXES[suffix]
    assume(abs(exact) < 2**63)
    kept = Fraction(str(quantity.parse(f"{number}{suffix}")))
    assert abs(kept) >= abs(exact)  # what was asked for is there
    assert abs(kept) - abs(exact) < Fraction(1, 1000)
    assert quantity.parse(quantity.canonical(f"{number}{suffix}")) == quantity.parse(f"{number}{suffix}")


@seed(SEED)
@fixed
@given(values.amounts())
def test_any_text_is_an_amount_or_refused(text: Any) -> None:
    try:
        once = quantity.canonical(text)
    except quantity.QuantityError:
        return
    assert quantity.canonical(once) == once
    assert abs(quantity.parse(once)) < 2**63


# -- patches ---------------------------------------------------------------------------------------------------------

POD = codec.to_builtins(codec.from_builtins(document("Pod", "fuzz"), Pod))
_NAMES = st.sampled_from(["metadata", "spec", "a"])
texts = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "fuzz"])
objects = st.dictionaries(_NAMES, texts, max_size=2)
members = st.recursive(texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner), max_leaves=8)


@seed(SEED)
@fixed
@given(members, st.dictionaries(st.sampled_from(["metadata", "spec", "a", "b"]), members))
def test_a_merge_patch_means_the_same_twice(old: Any, change: dict[str, Any]) -> None:
    before = copy.deepcopy(old)
    once = patch.apply(patch.MERGE, old, json.dumps(change).encode(), Pod)
    assert patch.apply(patch.MERGE, once, json.dumps(change).encode(), Pod) == once
    assert old == before
    for name, member in change.items():
        if not isinstance(member, dict):
            assert once.get(name, "absent") == ("absent" if member is None else member)


@seed(SEED)
@fixed
@given(patches.json_patches("Pod"))
def test_a_json_patch_is_done_as_a_whole_or_not_at_all(change: Any) -> None:
    before = copy.deepcopy(POD)
    try:
        patch.apply(patch.JSON_PATCH, POD, json.dumps(change).encode(), Pod)
    except ApiError as error:
        assert error.code in (400, 422)  # noqa: PT017
    assert before == POD


@seed(SEED)
@fixed
@given(st.data())
def test_what_a_json_patch_adds_it_can_test_and_remove(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([one for one in patches.pointers(POD) if one]))
    value = data.draw(members)
    change = [{"op": "replace", "path": path, "value": value}, {"op": "test", "path": path, "value": value},
              {"op": "remove", "path": path}]  # fmt: skip
    removed = patch.apply(patch.JSON_PATCH, POD, json.dumps(change).encode(), Pod)
    only = patch.apply(patch.JSON_PATCH, POD, json.dumps(change[2:]).encode(), Pod)
    assert removed == only


@seed(SEED)
@fixed
@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), st.dictionaries(_NAMES, texts | objects)))
def test_a_strategic_patch_without_lists_is_a_merge_patch(change: dict[str, Any]) -> None:
    body = json.dumps(change).encode()
    assert patch.apply(patch.STRATEGIC, POD, body, Pod) == patch.apply(patch.MERGE, POD, body, Pod)


@seed(SEED)
@fixed
@given(st.lists(st.fixed_dictionaries({"name": st.sampled_from("abc"), "image": st.sampled_from("xyz")}), max_size=3,
                unique_by=lambda one: one["name"]), st.booleans())  # fmt: skip
def test_containers_are_merged_by_their_names(change: list[dict[str, str]], apply: bool) -> None:
    config = {"spec": {"containers": change}}
    body = json.dumps(config).encode()
    if apply:
        once = applied(POD, config, Pod, Owner("me", "Apply"), force=True, now="2015-06-05T00:00:00Z")
    else:
        once = patch.apply(patch.STRATEGIC, POD, body, Pod)
    images = {one["name"]: one["image"] for one in once["spec"]["containers"]}
    assert images == {"c": "redis"} | {one["name"]: one["image"] for one in change}
    assert patch.apply(patch.STRATEGIC, once, body, Pod) == once
