"""Whose pods are whose when selectors overlap, and how they are found."""

from typing import Any, cast

from labkit.api.types import (
    ObjectMeta,
    OwnerReference,
    Pod,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
    key,
)
from labkit.components.kube_controller_manager.claims import Claims
from labkit.components.kube_controller_manager.pod_index import PodIndex


class _Informer:
    def on_change(self, callback: object) -> None:
        pass


def index(*pods: Pod) -> PodIndex:
    made = PodIndex(cast(Any, _Informer()))
    for pod in pods:
        made.changed(None, pod)
    return made


def pod(name: str, namespace: str = "default", owner: str = "", **labels: str) -> Pod:
    owners = [OwnerReference(uid=owner, controller=True)] if owner else []
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels, owner_references=owners))


def rc(name: str, day: int, template: dict[str, str] | None = None, **selector: str) -> ReplicationController:
    meta = ObjectMeta(name=name, namespace="default", uid=name, creation_timestamp=f"2015-06-0{day}T00:00:00Z")
    labels = PodTemplateSpec(metadata=ObjectMeta(labels=template or selector))
    return ReplicationController(metadata=meta, spec=ReplicationControllerSpec(selector=selector, template=labels))


def claims(pods: PodIndex, *controllers: ReplicationController) -> Claims:
    return Claims({key(each): each for each in controllers}, pods)


def names(pods: list[Pod]) -> list[str]:
    return sorted(pod.metadata.name for pod in pods)


def test_a_controller_alone_has_what_it_selects() -> None:
    web = rc("web", 1, app="web")
    pods = index(pod("a", app="web"), pod("b", app="web", tier="x"), pod("c", app="db"), pod("d", "prod", app="web"))
    alone = claims(pods, web, rc("db", 1, app="db"))
    assert names(alone.pods_of(web)) == ["a", "b"]
    assert alone.overlap(web) is None


def test_the_same_selector_twice_the_older_has_all_and_the_younger_makes_none() -> None:
    old, young = rc("old", 1, app="web"), rc("young", 2, app="web")
    both = claims(index(pod("a", app="web")), young, old)
    assert (names(both.pods_of(old)), names(both.pods_of(young))) == (["a"], [])
    assert both.overlap(old) is None
    found = both.overlap(young)
    assert found is not None
    assert found.stands_back
    assert found.text.startswith(
        "replicationcontrollers/old, which is older, selects the pods that this one would make"
    )


def test_of_the_same_age_the_first_by_name_is_the_older() -> None:
    a, b = rc("a", 1, app="web"), rc("b", 1, app="web")
    assert names(claims(index(pod("p", app="web")), b, a).pods_of(a)) == ["p"]


def test_a_selector_that_reaches_too_far_counts_its_own() -> None:
    web = rc("web", 1, {"app": "web", "env": "prod"}, app="web")
    wide = rc("all", 2, {"app": "shop", "env": "prod"}, env="prod")
    both = claims(index(pod("w", app="web", env="prod"), pod("s", app="shop", env="prod")), web, wide)
    assert names(both.pods_of(wide)) == ["s"]
    found = both.overlap(wide)
    assert found is not None
    assert not found.stands_back
    assert found.text.startswith("the selector matches pods of replicationcontrollers/web, which is older")


class TestTheIndex:
    def test_a_pod_moves_with_its_labels_and_its_owner(self) -> None:
        before, after = pod("a", owner="u1", app="web"), pod("a", owner="u2", app="db")
        pods = index(before)
        assert names(pods.selected({"app": "web"}, "default")) == names(list(pods.controlled("u1"))) == ["a"]
        pods.changed(before, after)
        assert pods.selected({"app": "web"}, "default") == list(pods.controlled("u1")) == []
        assert pods.selected({"app": "db"}, "default") == list(pods.controlled("u2")) == [after]

    def test_what_is_gone_leaves_nothing_behind(self) -> None:
        one = pod("a", owner="u1", app="web")
        pods = index(one)
        pods.changed(one, None)
        assert vars(pods) == vars(index())

    def test_an_empty_selector_selects_nothing(self) -> None:
        assert index(pod("a", app="web")).selected({}, "default") == []
