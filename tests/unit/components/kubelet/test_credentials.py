"""Logins at private registries: which secret is meant for which image, and what a pod pulls with."""

import base64
import json
from pathlib import Path

import pytest

from labkit.api.types import ObjectMeta, Secret
from labkit.components.kubelet.credentials import Credentials, NotCredentials, credentials_for
from labkit.components.kubelet.fake import FakeRuntime
from tests.unit.components.kubelet.one_node import one_node

ME = Credentials("me", "secret:word")
PLAIN = {"username": "me", "password": "secret:word"}
PACKED = {"auth": base64.b64encode(b"me:secret:word").decode()}


def secret(entries: object, kind: str = "kubernetes.io/dockerconfigjson", file: str = ".dockerconfigjson") -> Secret:
    return Secret(metadata=ObjectMeta(name="s"), type=kind, data={file: json.dumps(entries).encode()})


def old(entries: object) -> Secret:
    return secret(entries, "kubernetes.io/dockercfg", ".dockercfg")


@pytest.mark.parametrize(
    ("place", "image", "fits"),
    [
        ("r:5000", "r:5000/app:1", True),
        ("http://r:5000/", "r:5000/app", True),
        ("https://r:5000/v1/", "r:5000/app", True),
        ("r:5000", "r:5001/app", False),
        ("r:5000", "app", False),
        ("r:5000/team", "r:5000/team/app", True),
        ("r:5000/team", "r:5000/teams/app", False),
        ("https://index.docker.io/v1/", "me/app", True),
        ("docker.io", "app:latest", True),
    ],
)
def test_whose_registry(place: str, image: str, fits: bool) -> None:
    for entries in (old({place: PLAIN}), secret({"auths": {place: PACKED}})):
        assert credentials_for(image, [entries]) == ([ME] if fits else [])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Secret(metadata=ObjectMeta(name="s"), type="Opaque"), 'secret "s" is no login: it needs type'),
        (secret({}, file="other"), 'secret "s" is no login'),
        (secret({"auths": {"r": {"auth": "%"}}}), r'secret "s": .dockerconfigjson cannot be read'),
        (old([1]), 'secret "s": .dockercfg cannot be read'),
    ],
)
def test_what_is_none(wrong: Secret, says: str) -> None:
    with pytest.raises(NotCredentials, match=says):
        credentials_for("r/app", [wrong])


def test_a_password_is_not_printed() -> None:
    assert "word" not in repr(ME)


async def test_a_pod_pulls_with_its_secret(tmp_path: Path) -> None:
    fake = FakeRuntime("n1")
    fake.absent = fake.pullable = {"r:5000/app"}
    fake.private = {"r:5000/app": ME}
    async with one_node(fake, tmp_path) as node:
        wrong, right = old({"r:5000": {"username": "me", "password": "old"}}), old({"r:5000": PLAIN})
        for name, each in (("wrong", wrong), ("right", right)):
            each.metadata = ObjectMeta(name=name, namespace="default")
            await node.client.create(each)
        await node.create({"image": "r:5000/app"}, imagePullSecrets=[{"name": "wrong"}, {"name": "right"}])
        await node.status(lambda s: s.phase == "Running")
        assert [login.password for login in fake.logins if login] == ["old", "secret:word"]


async def test_a_pull_secret_that_is_not_there(tmp_path: Path) -> None:
    """The pull is tried all the same, and what was wrong is told."""
    fake = FakeRuntime("n1")
    fake.absent, fake.private = {"r:5000/app"}, {"r:5000/app": ME}
    async with one_node(fake, tmp_path) as node:
        await node.create({"image": "r:5000/app"}, imagePullSecrets=[{"name": "none"}])
        await node.told("failedToRetrieveImagePullSecret", "", "Unable to retrieve image pull secrets: not found: none")
        await node.told("failed", "spec.containers{c}", 'Failed to pull image "r:5000/app": pull access denied')
