"""Patches in all dialects: some that fit, some that do not, some that are none."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from labkit.api import patch
from tests.fuzz import values
from tests.fuzz.documents import Schemas, edited, mangled, written
from tests.fuzz.objects import document

_STRANGE = [
    "", "/", "//", "/~", "/~2", "/a/-", "/spec/containers/-1", "/spec/containers/99", "/spec/containers/-",
    "/metadata/labels/a~1b", "spec", "/spec/containers/0/name/x", "/metadata/labels/", "/" + "a/" * 500,
]  # fmt: skip


def pointers(found: Any, path: str = "") -> list[str]:
    """Of all that is in a document, RFC 6901."""
    below = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [path, *(one for name, member in below for one in pointers(member, f"{path}/{name}"))]


def json_patches(kind: str) -> SearchStrategy[Any]:
    paths = st.sampled_from(pointers(document(kind, "fuzz"))) | st.sampled_from(_STRANGE)
    operation = st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "test", "explode"]), "path": paths},
        optional={"value": values.texts() | values.numbers() | values.anything(), "from": paths, "x": st.none()},
    )
    return st.lists(operation, max_size=4)


@st.composite
def with_directives(draw: st.DrawFn, found: Any) -> Any:
    """A merge patch to which directives of the strategic one were added, here and there and rightly or not."""
    if isinstance(found, list):
        return [draw(with_directives(member)) for member in found]
    if not isinstance(found, dict):
        return found
    changed = {name: draw(with_directives(member)) for name, member in found.items()}
    if draw(st.integers(0, 3)) == 0:
        directive = draw(st.sampled_from(["$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/"]))
        of = draw(st.sampled_from(sorted(found) or ["x"])) if directive.endswith("/") else ""
        names = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["c", "x"])}) | values.texts(), max_size=3)
        changed[directive + of] = draw(st.sampled_from(["replace", "delete", "merge", "x"]) | names | values.anything())
    return changed


def patches(schemas: Schemas, kind: str) -> SearchStrategy[tuple[str, bytes]]:
    """(content type, body)."""
    objects = edited(schemas, kind)
    directed = objects.flatmap(with_directives)
    right: SearchStrategy[tuple[str, bytes]] = st.one_of(
        st.tuples(st.just(patch.JSON_PATCH), json_patches(kind).map(written)),
        st.tuples(st.just(patch.MERGE), objects.map(written)),
        st.tuples(st.just(patch.STRATEGIC), directed.map(written)),
        st.tuples(st.just(patch.APPLY), (objects | directed).map(written)),
    )
    types = st.sampled_from([patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC, patch.APPLY, "text/yaml", "x", ""])
    wrong = st.tuples(types, right.flatmap(lambda pair: mangled(pair[1])))
    return st.one_of(right, right, right, wrong)
