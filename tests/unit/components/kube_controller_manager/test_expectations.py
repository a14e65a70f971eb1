"""Own writes laid over a view that runs behind."""

import pytest

from labkit.api.types import ObjectMeta, Pod
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.components.kube_controller_manager import expectations as module
from labkit.components.kube_controller_manager.expectations import Expectations


def pod(name: str, version: int = 1) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", resource_version=str(version)))


@pytest.fixture
def informer() -> Informer[Pod]:
    view = Informer(Client("http://nowhere.invalid"), Pod)
    view.resource_version = "10"
    return view


def names(pods: list[Pod]) -> list[str]:
    return sorted(pod.metadata.name for pod in pods)


def test_nothing_written_is_just_the_view(informer: Informer[Pod]) -> None:
    assert names(Expectations(informer).over("default/web", [pod("a")])) == ["a"]


def test_a_created_pod_counts_before_it_is_seen_and_once_when_it_is(informer: Informer[Pod]) -> None:
    own = Expectations(informer)
    own.created("default/web", pod("new", 12))
    assert names(own.over("default/web", [pod("a")])) == ["a", "new"]
    assert names(own.over("default/other", [])) == []
    informer.resource_version = "12"
    assert names(own.over("default/web", [pod("a"), pod("new", 12)])) == ["a", "new"]
    # created and deleted by somebody else before we looked again: the view knows best
    assert names(own.over("default/web", [pod("a")])) == ["a"]


def test_a_created_pod_that_is_seen_early_is_one_pod(informer: Informer[Pod]) -> None:
    own = Expectations(informer)
    own.created("default/web", pod("new", 12))
    assert names(own.over("default/web", [pod("new", 11)])) == ["new"]


def test_a_deleted_pod_is_gone_although_it_is_still_seen(informer: Informer[Pod]) -> None:
    own = Expectations(informer)
    own.deleted("default/web", pod("old"))
    assert names(own.over("default/web", [pod("old"), pod("a")])) == ["a"]
    assert names(own.over("default/web", [pod("old"), pod("a")])) == ["a"]
    assert names(own.over("default/web", [pod("a")])) == ["a"]


def test_created_and_deleted_before_it_was_ever_seen(informer: Informer[Pod]) -> None:
    own = Expectations(informer)
    own.created("default/web", pod("brief", 12))
    own.deleted("default/web", pod("brief", 12))
    assert own.over("default/web", []) == []
    informer.resource_version = "12"
    assert own.over("default/web", [pod("brief", 12)]) == []


def test_what_is_never_seen_is_forgotten(informer: Informer[Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    own = Expectations(informer)
    own.created("default/web", pod("lost", 12))
    own.deleted("default/web", pod("a"))
    monkeypatch.setattr(module, "FORGET_SECONDS", -1.0)
    assert names(own.over("default/web", [pod("a")])) == ["a"]
