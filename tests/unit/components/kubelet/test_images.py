"""Images of public registries: which a machine of the lab can have, and what is said of those that it cannot."""

from pathlib import Path

import pytest

from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.images import is_out_of_reach, mend
from tests.unit.components.kubelet.one_node import one_node

MIRROR = "http://host.lab:5001"


@pytest.mark.parametrize(
    ("image", "out"),
    [
        ("redis", False),
        ("library/redis:7", False),
        ("docker.io/library/redis", False),
        ("gcr.io/google_containers/pause:0.8.0", True),
        ("quay.io:443/coreos/etcd", True),
        ("203.0.113.9:5000/app", False),  # kept for documentation, so private as Python sees it
        ("8.8.8.8:5000/app", True),
        ("10.245.1.11:5000/app", False),
        ("127.0.0.1:1/app", False),
        ("localhost:5000/app", False),
        ("master:5000/app", False),
        ("host.lab:5000/app", False),
        ("No Image", False),  # docker says what is wrong with it
    ],
)
def test_a_mirror_has_what_docker_hub_has(image: str, out: bool) -> None:
    assert is_out_of_reach(image, "none") == is_out_of_reach(image, MIRROR) == out
    assert not is_out_of_reach(image, "")


@pytest.mark.parametrize(
    ("image", "mirror", "says"),
    [
        ("nope", "none", "set registry.mirror in cluster.json and run labkit up"),
        ("nope", MIRROR, f"neither the master's registry nor the mirror {MIRROR} gave it"),
        ("gcr.io/a/b", MIRROR, "gcr.io is not reached from this machine"),
        ("gcr.io/a/b", "none", "have the image in a registry on the lab's network"),
    ],
)
def test_the_mend_is_named(image: str, mirror: str, says: str) -> None:
    assert says in mend(image, mirror)


@pytest.mark.parametrize(("image", "mirror"), [("nope", ""), ("127.0.0.1:1/nope", "none"), ("gcr.io/a/b", "")])
def test_nothing_is_added_where_docker_says_all(image: str, mirror: str) -> None:
    assert mend(image, mirror) == ""


async def test_an_unreachable_registry_is_not_asked(tmp_path: Path) -> None:
    """The event names the mend; an image that is here is run, wherever its name says that it is from."""
    fake = FakeRuntime()
    fake.absent = fake.pullable = {"gcr.io/a/b"}
    async with one_node(fake, tmp_path, registry_mirror="none") as node:
        await node.create({"image": "gcr.io/a/b"}, name="far")
        await node.told(
            "failed", "spec.containers{c}", 'Failed to pull image "gcr.io/a/b": not asked for; gcr.io', "far"
        )
        await node.create({"image": "quay.io/c/d"}, name="here")
        await node.status(lambda status: status.phase == "Running", "here")
