"""ServiceAccount, with the texts of 1.0.7."""

import pytest

from labkit.api import service_accounts as words
from labkit.api.types import LocalObjectReference, ObjectMeta, ObjectReference, Secret, ServiceAccount
from labkit.components.kube_apiserver.admission import service_account
from labkit.components.kube_apiserver.admission.plugin import NotYet
from tests.unit.components.kube_apiserver.admission.view import Literals, asked, pod

PULL = LocalObjectReference(name="pull")


def account(name: str = "default", *secrets: str) -> ServiceAccount:
    references = [ObjectReference(name=secret) for secret in secrets]
    meta = ObjectMeta(name=name, namespace="default", uid=f"uid-of-{name}")
    return ServiceAccount(metadata=meta, secrets=references, image_pull_secrets=[PULL])


def token(name: str, of: ServiceAccount, data: bytes = b"token") -> Secret:
    notes = {words.NAME_ANNOTATION: of.metadata.name, words.UID_ANNOTATION: of.metadata.uid}
    meta = ObjectMeta(name=name, namespace="default", annotations=notes)
    return Secret(metadata=meta, type=words.SECRET_TYPE, data={"token": data})


def test_a_pod_goes_by_default() -> None:
    mine = account("default", "default-token-1")
    admitted = service_account.admit(asked(pod()), Literals([mine, token("default-token-1", mine)]))
    assert admitted.spec.service_account_name == admitted.spec.service_account == "default"
    assert admitted.spec.image_pull_secrets == [PULL]


def test_or_by_the_account_that_it_names_and_with_its_own_secrets() -> None:
    robot = account("robot", "other", "robot-token-1")
    given = pod()
    given.spec.service_account_name = "robot"
    given.spec.image_pull_secrets = [LocalObjectReference(name="own")]
    admitted = service_account.admit(asked(given), Literals([robot, token("robot-token-1", robot)]))
    assert admitted.spec.service_account_name == "robot"
    assert admitted.spec.image_pull_secrets == [LocalObjectReference(name="own")]


def test_no_account() -> None:
    with pytest.raises(NotYet) as refused:
        service_account.admit(asked(pod(), namespace="nope"), Literals())
    assert refused.value.message == (
        'Pod "p1" is forbidden: service account nope/default was not found, retry after the service account is created'
    )
    assert refused.value.patience > 0


@pytest.mark.parametrize(
    "secrets",
    [
        [],
        [token("default-token-1", account("another"))],
        [token("default-token-1", account(), b"")],
        [token("not-referred-to", account())],
    ],
)
def test_no_token(secrets: list[Secret]) -> None:
    with pytest.raises(NotYet) as refused:
        service_account.admit(asked(pod()), Literals([account("default", "default-token-1"), *secrets]))
    assert refused.value.message == (
        'Pod "p1" is forbidden: no API token found for service account default/default, retry after the token is '
        "automatically created and added to the service account"
    )


def test_only_new_pods_are_looked_at() -> None:
    given = pod()
    assert service_account.admit(asked(given, "UPDATE"), Literals()) is given
    assert service_account.admit(asked(given, "DELETE"), Literals()) is None
    other = account()
    assert service_account.admit(asked(other), Literals()) is other
