import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api import patch
from labkit.api.errors import BadRequest, Invalid, UnsupportedMediaType
from labkit.api.types import Pod, ReplicationController, Service

POD = {
    "metadata": {"name": "p", "labels": {"app": "a", "tier": "fe"}, "finalizers": ["x", "y"]},
    "spec": {
        "containers": [
            {"name": "c", "image": "redis:6", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]},
            {"name": "d", "image": "busybox", "args": ["x", "y"]},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}


def patched(dialect: str, change: Any, document: Any = POD, what: Any = Pod) -> Any:
    before = json.dumps(document)
    result = patch.apply(dialect, document, json.dumps(change).encode(), what)
    assert json.dumps(document) == before  # what is given stays as it is
    return result


# -- merge patch, RFC 7386 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_in_the_rfc(document: Any, change: Any, result: Any) -> None:
    assert patched(patch.MERGE, change, document) == result


def test_kubectl_label_removes_with_null() -> None:
    result = patched(patch.MERGE, {"metadata": {"labels": {"app": "b", "tier": None}}})
    assert result["metadata"]["labels"] == {"app": "b"}


# -- JSON patch, RFC 6902 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "change", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": [1, 3]}, [{"op": "add", "path": "/foo/1", "value": 2}], {"foo": [1, 2, 3]}),
        ({"foo": [1]}, [{"op": "add", "path": "/foo/-", "value": [2]}], {"foo": [1, [2]]}),
        ({"foo": [1, 2]}, [{"op": "remove", "path": "/foo/0"}], {"foo": [2]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": [1, 2]}, [{"op": "move", "from": "/a/0", "path": "/a/1"}], {"a": [2, 1]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a/b": 1, "c": 2}, [{"op": "remove", "path": "/a~1b"}], {"c": 2}),
        ({"m~n": 2}, [{"op": "test", "path": "/m~0n", "value": 2}], {"m~n": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": 1.0}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1.0}),
    ],
)  # fmt: skip
def test_json_patch_as_in_the_rfc(document: Any, change: Any, result: Any) -> None:
    assert patched(patch.JSON_PATCH, change, document) == result


@pytest.mark.parametrize(
    "change",
    [
        [{"op": "remove", "path": "/nope"}],
        [{"op": "replace", "path": "/nope", "value": 1}],
        [{"op": "add", "path": "/nope/deeper", "value": 1}],
        [{"op": "add", "path": "/spec/containers/7", "value": 1}],
        [{"op": "add", "path": "/spec/containers/01", "value": 1}],
        [{"op": "test", "path": "/metadata/name", "value": "q"}],
        [{"op": "test", "path": "/metadata", "value": True}],
        [{"op": "move", "from": "/spec", "path": "/spec/inside"}],
        [{"op": "remove", "path": ""}],
        [{"op": "remove", "path": "/metadata/name/x"}],
    ],
)
def test_json_patch_that_does_not_fit(change: Any) -> None:
    with pytest.raises(Invalid):
        patched(patch.JSON_PATCH, change)


@pytest.mark.parametrize(
    "change",
    [{"op": "add"}, [1], [{"op": "dance", "path": "/a"}], [{"op": "add", "path": "a", "value": 1}],
     [{"op": "add", "path": "/a"}], [{"op": "copy", "path": "/a"}], [{"op": "test", "path": "/~2", "value": 1}]],
)  # fmt: skip
def test_json_patch_that_is_none(change: Any) -> None:
    with pytest.raises(BadRequest):
        patched(patch.JSON_PATCH, change)


def test_true_is_not_one() -> None:
    with pytest.raises(Invalid, match="testing value /a failed"):
        patched(patch.JSON_PATCH, [{"op": "test", "path": "/a", "value": 1}], {"a": True})


def test_copies_are_independent() -> None:
    change = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/x", "value": 1}]
    assert patched(patch.JSON_PATCH, change, {"a": {}}) == {"a": {}, "b": {"x": 1}}


# -- strategic merge patch -----------------------------------------------------------------------------------------


def containers(change: Any) -> Any:
    return patched(patch.STRATEGIC, {"spec": change})["spec"]["containers"]


def test_set_image_changes_one_container() -> None:
    change = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "d"}],
        "containers": [{"name": "d", "image": "busybox:2"}],
    }
    changed = containers(change)
    assert [one["image"] for one in changed] == ["redis:6", "busybox:2"]
    assert changed[1]["args"] == ["x", "y"]


def test_nested_lists_have_their_own_key() -> None:
    env = [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]
    change = {"containers": [{"name": "c", "env": env, "ports": [{"containerPort": 80, "protocol": "UDP"}]}]}
    changed = containers(change)[0]
    assert changed["env"] == [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]
    assert changed["ports"] == [{"containerPort": 80, "protocol": "UDP"}]


def test_a_list_without_key_is_replaced() -> None:
    assert containers({"containers": [{"name": "d", "args": ["z"]}]})[1]["args"] == ["z"]


def test_delete_an_element() -> None:
    assert [one["name"] for one in containers({"containers": [{"name": "c", "$patch": "delete"}]})] == ["d"]


def test_replace_a_whole_list() -> None:
    change = {"containers": [{"$patch": "replace"}, {"name": "n", "image": "i"}]}
    assert containers(change) == [{"name": "n", "image": "i"}]


def test_replace_and_delete_an_object() -> None:
    change = {"metadata": {"labels": {"$patch": "replace", "only": "me"}}}
    assert patched(patch.STRATEGIC, change)["metadata"]["labels"] == {"only": "me"}
    assert patched(patch.STRATEGIC, {"metadata": {"labels": {"$patch": "delete"}}})["metadata"]["labels"] == {}


def test_retain_keys_drops_the_rest() -> None:
    change = {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}
    volumes = patched(patch.STRATEGIC, {"spec": change})["spec"]["volumes"]
    assert volumes == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_retain_keys_need_not_list_what_the_patch_removes() -> None:
    # what kubectl apply sends when a volume changes from one source to another
    source = {"name": "v", "emptyDir": None, "hostPath": {"path": "/x"}, "$retainKeys": ["hostPath", "name"]}
    volumes = patched(patch.STRATEGIC, {"spec": {"volumes": [source]}})["spec"]["volumes"]
    assert volumes == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_plain_lists_are_joined_and_shortened() -> None:
    change = {"metadata": {"finalizers": ["z", "x"], "$deleteFromPrimitiveList/finalizers": ["y"]}}
    assert patched(patch.STRATEGIC, change)["metadata"]["finalizers"] == ["x", "z"]


def test_element_order_alone_reorders() -> None:
    order = {"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}]}
    assert [one["name"] for one in containers(order)] == ["d", "c"]


def test_what_only_the_server_has_keeps_its_place() -> None:
    change = {
        "$setElementOrder/containers": [{"name": "n"}, {"name": "d"}],
        "containers": [{"name": "n", "image": "i"}],
    }
    assert [one["name"] for one in containers(change)] == ["n", "c", "d"]


def test_null_deletes_and_new_objects_lose_their_directives() -> None:
    change = {"spec": {"nodeName": None, "nodeSelector": {"disk": "ssd", "gone": None}, "volumes": None}}
    spec = patched(patch.STRATEGIC, change)["spec"]
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert "volumes" not in spec


def test_types_are_followed_through_the_template() -> None:
    document = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a", "command": ["x"]}]}}}}
    change = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "b"}]}}}}
    result = patched(patch.STRATEGIC, change, document, ReplicationController)
    assert result["spec"]["template"]["spec"]["containers"] == [{"name": "c", "image": "b", "command": ["x"]}]


def test_service_ports_are_known_by_number() -> None:
    document = {"spec": {"ports": [{"port": 80, "nodePort": 30000}, {"port": 81}]}}
    result = patched(patch.STRATEGIC, {"spec": {"ports": [{"port": 80, "name": "web"}]}}, document, Service)
    assert result["spec"]["ports"] == [{"port": 80, "nodePort": 30000, "name": "web"}, {"port": 81}]


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"containers": [{"image": "x"}]}},
        {"spec": {"containers": ["c"]}},
        {"spec": {"$patch": "dance"}},
        {"spec": {"$retainKeys": ["a"], "b": 1}},
        {"spec": {"$setElementOrder/containers": {}}},
    ],
)
def test_bad_directives(change: Any) -> None:
    with pytest.raises(BadRequest):
        patched(patch.STRATEGIC, change)


# -- all dialects --------------------------------------------------------------------------------------------------


def test_content_type() -> None:
    with pytest.raises(UnsupportedMediaType, match="application/strategic-merge-patch"):
        patch.apply("application/json", {}, b"{}", Pod)
    assert patch.apply("application/merge-patch+json; charset=utf-8", {}, b'{"a":1}', Pod) == {"a": 1}


@pytest.mark.parametrize("dialect", [patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'"text"', b"[" * 10**5])
def test_bodies_that_are_no_patch(dialect: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        patch.apply(dialect, POD, body, Pod)


documents = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=2), children, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=2), documents, max_size=3)


@given(objects, objects)
def test_a_merge_patch_twice_is_once(document: Any, change: Any) -> None:
    once = patched(patch.MERGE, change, document)
    assert patched(patch.MERGE, change, once) == once


names = st.sampled_from(["a", "b", "c", "d"])
lists = st.lists(names, unique=True, max_size=4).map(lambda some: [{"name": name, "image": "i"} for name in some])


@given(lists, lists)
def test_containers_are_joined_without_loss_or_double(old: list[Any], new: list[Any]) -> None:
    change = {"spec": {"$setElementOrder/containers": [{"name": one["name"]} for one in new], "containers": new}}
    result = patched(patch.STRATEGIC, change, {"spec": {"containers": old}})["spec"]["containers"]
    found = [one["name"] for one in result]
    assert sorted(found) == sorted({one["name"] for one in old + new})
    assert [name for name in found if {"name": name, "image": "i"} in new] == [one["name"] for one in new]
