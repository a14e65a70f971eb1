"""ServiceAccount, with the texts of 1.0.7."""

from collections.abc import Sequence
from typing import Any

import pytest

from labkit.api import service_accounts as words
from labkit.api.names import DNS_LABEL
from labkit.api.types import (
    Container,
    LocalObjectReference,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodSpec,
    Secret,
    SecretVolumeSource,
    ServiceAccount,
    Volume,
    VolumeMount,
)
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


def mounted(
    *containers: Container, volumes: Sequence[Volume] = (), of: ServiceAccount | None = None, **fields: Any
) -> Pod:
    """A pod of these containers, once it is admitted."""
    mine = of or account("default", "default-token-1")
    given = pod()
    given.spec = PodSpec(containers=list(containers), volumes=list(volumes), **fields)
    return service_account.admit(asked(given), Literals([mine, token(mine.secrets[0].name, mine)]))


def test_every_container_finds_the_token() -> None:
    other = VolumeMount(name="v", mount_path="/v")
    spec = mounted(Container(name="a"), Container(name="b", volume_mounts=[other]), volumes=[Volume(name="v")]).spec
    mount = VolumeMount(
        name="default-token-1", mount_path="/var/run/secrets/kubernetes.io/serviceaccount", read_only=True
    )
    assert [container.volume_mounts for container in spec.containers] == [[mount], [other, mount]]
    assert spec.volumes[1:] == [
        Volume(name="default-token-1", secret=SecretVolumeSource(secret_name="default-token-1"))
    ]


def test_unless_it_has_something_else_there() -> None:
    own = VolumeMount(name="v", mount_path=service_account.MOUNT_PATH)
    spec = mounted(Container(name="a", volume_mounts=[own]), volumes=[Volume(name="v")]).spec
    assert spec.volumes == [Volume(name="v")]
    assert spec.containers[0].volume_mounts == [own]


def test_a_volume_of_it_that_is_there_is_used() -> None:
    there = Volume(name="mine", secret=SecretVolumeSource(secret_name="default-token-1"))
    spec = mounted(Container(name="a"), volumes=[there]).spec
    assert spec.volumes == [there]
    assert spec.containers[0].volume_mounts[0].name == "mine"


def test_names_of_volumes() -> None:
    assert (
        mounted(Container(name="a"), volumes=[Volume(name="default-token-1")]).spec.volumes[1].name
        == "default-token-1-2"
    )
    long = account("robot." + "x" * 80, "robot." + "x" * 80 + "-token-abcde")
    (volume,) = mounted(Container(name="a"), of=long, service_account_name=long.metadata.name).spec.volumes
    assert DNS_LABEL.fault(volume.name) == ""
    assert volume.name.endswith("x-token-abcde")


@pytest.mark.parametrize(
    ("of_pod", "of_account", "expected"),
    [(None, None, 1), (None, False, 0), (True, False, 1), (False, True, 0), (False, None, 0)],
)
def test_who_does_not_want_it(of_pod: bool | None, of_account: bool | None, expected: int) -> None:
    mine = account("default", "default-token-1")
    mine.automount_service_account_token = of_account
    spec = mounted(Container(name="a"), of=mine, automount_service_account_token=of_pod).spec
    assert len(spec.volumes) == len(spec.containers[0].volume_mounts) == expected


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
