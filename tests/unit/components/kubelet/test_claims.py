"""A kubelet and claims: what a pod gets, what it waits for, and servers that are away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit.api.errors import ServerUnavailable
from labkit.api.types import Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Volume, copy
from labkit.components.kubelet import act, pod_volumes
from labkit.components.kubelet.claims import behind
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.remote_mounts import Remote
from labkit.components.kubelet.runtime import Mount
from labkit.components.kubelet.volume_files import VolumeFailure
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import OneNode, one_node
from tests.unit.components.kubelet.test_kubelet import message_of, running, waiting
from tests.unit.components.kubelet.test_pod_volumes import MOUNT, config_of, told

CLAIMED = {"name": "v", "persistentVolumeClaim": {"claimName": "mine"}}
GLUSTER = {"glusterfs": {"endpoints": "glusterfs-cluster", "path": "data"}}
ASKS = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
REF = {"namespace": "default", "name": "mine"}


def claim(volume: str = "", phase: str = "Pending", uid: str = "7") -> PersistentVolumeClaim:
    meta = REF | {"uid": uid}
    spec = ASKS | ({"volumeName": volume} if volume else {})
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"phase": phase}}, PersistentVolumeClaim)


def volume(source: dict[str, Any] = GLUSTER, uid: str = "7") -> PersistentVolume:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "claimRef": REF | {"uid": uid}}
    return msgspec.convert({"metadata": {"name": "big"}, "spec": spec | source}, PersistentVolume)


def claimed(**more: Any) -> Volume:
    return msgspec.convert({"name": "v", "persistentVolumeClaim": {"claimName": "mine"} | more}, Volume)


class TestBehind:
    """The decision."""

    @pytest.mark.parametrize(
        ("source", "more", "expected"),
        [
            (GLUSTER, {}, GLUSTER),
            (GLUSTER, {"readOnly": True}, {"glusterfs": GLUSTER["glusterfs"] | {"readOnly": True}}),
            ({"hostPath": {"path": "/srv"}}, {"readOnly": True}, {"hostPath": {"path": "/srv"}}),
        ],
    )
    def test_what_it_is_made_of(self, source: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]) -> None:
        found = behind(claimed(**more), claim("big", "Bound"), volume(source))
        assert found == msgspec.convert({"name": "v"} | expected, Volume)

    @pytest.mark.parametrize(
        ("its_claim", "bound", "told"),
        [
            (claim(), None,
             r"The claim mine is not yet bound to a volume \(it asks for 1Gi, ReadWriteMany\): see kubectl get pv"),
            (claim("big", "Bound"), volume(uid="8"), "The claim mine is not yet bound to a volume"),
            (claim("big", "Lost"), None, 'claim "mine" has lost its persistent volume big'),
            (claim("big", "Bound"), None, 'claim "mine" has lost its persistent volume big'),
        ],
    )  # fmt: skip
    def test_why_not(self, its_claim: PersistentVolumeClaim, bound: PersistentVolume | None, told: str) -> None:
        with pytest.raises(VolumeFailure, match=told):
            behind(claimed(), its_claim, bound)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OneNode]:
    monkeypatch.setattr(act, "FIRST_BACKOFF", 0.3)
    monkeypatch.setattr(pod_volumes, "PATIENCE", 0.1)
    async with one_node(FakeRuntime("n1"), tmp_path, address="10.245.1.3") as node:
        yield node


async def bind(node: OneNode, source: dict[str, Any] = GLUSTER) -> None:
    """As the controller does."""
    made = copy(await node.client.create(claim()))
    await node.client.create(volume(source, uid=made.metadata.uid))
    made.spec.volume_name = "big"
    made = copy(await node.client.update(made))
    made.status.phase = "Bound"
    await node.client.update_status(made)


async def servers(node: OneNode, *addresses: str) -> None:
    subsets = [{"addresses": [{"ip": ip} for ip in addresses], "ports": [{"port": 1}]}]
    meta = {"name": "glusterfs-cluster", "namespace": "default"}
    await node.client.create(msgspec.convert({"metadata": meta, "subsets": subsets}, Endpoints))


def mounts_of(node: OneNode) -> FakeMounts:
    assert isinstance(node.mounts, FakeMounts)
    return node.mounts


async def test_a_pod_waits_for_its_claim_and_keeps_its_mount(node: OneNode) -> None:
    pod = await node.create(MOUNT, volumes=[CLAIMED])
    status = await node.status(lambda s: waiting("ContainerCreating")(s) and message_of(s))
    why = 'volume "v": claim "mine" not found in namespace default: create it'
    assert message_of(status) == f"volumes: {why}"
    event = ("failedMount", "", f'Unable to mount volumes for pod "p_default": {why}')
    await eventually(lambda: told(node, event))
    await bind(node)
    lacks = 'endpoints "glusterfs-cluster" with the addresses of the servers not found in namespace default'
    await node.status(lambda s: waiting("ContainerCreating")(s) and lacks in message_of(s))
    await servers(node, "10.245.1.2", "10.245.1.3", "10.245.1.4")
    await node.status(running)
    place = node.settings.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~glusterfs/v"
    remote = Remote("glusterfs", "10.245.1.3:data", ("rw", "backup-volfile-servers=10.245.1.2:10.245.1.4"))
    assert mounts_of(node).remote == {place: remote}  # this machine is asked first
    (mount,) = [m for m in config_of(node).mounts if m.target == "/v"]
    assert mount == Mount(str(place), "/v", read_only=False)

    await node.end_kubelet()
    node.start_kubelet()
    await node.create(name="later")
    await node.status(running, "later")
    assert mounts_of(node).remote == {place: remote}
    await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
    await node.gone()
    await eventually(lambda: not mounts_of(node).remote)
    await eventually(lambda: not place.exists())


async def test_a_server_that_never_answers_holds_up_nobody_else(node: OneNode) -> None:
    mounts_of(node).away.add("10.245.1.9")
    await servers(node, "10.245.1.9")
    for number in range(8):  # more than there are threads
        await node.create(MOUNT, volumes=[{"name": "v", **GLUSTER}], name=f"hangs{number}")
    await node.status(lambda s: waiting("ContainerCreating")(s) and message_of(s) == "volumes are being made", "hangs7")
    await node.create(MOUNT, volumes=[{"name": "v", "emptyDir": {}}], name="other")
    await node.status(running, "other")
    await node.client.delete(Pod, "hangs0", "default", grace_period_seconds=0)
    await node.gone("hangs0")


async def test_what_cannot_be_mounted_is_told_and_tried_again(node: OneNode) -> None:
    mounts_of(node).refusing["files"] = "mount -t nfs files:/exports failed: the kernel of this machine has no nfs"
    await node.create(MOUNT, volumes=[{"name": "v", "nfs": {"server": "files", "path": "/exports"}}])
    why = 'volume "v": mount -t nfs files:/exports failed: the kernel of this machine has no nfs'
    event = ("failedMount", "", f'Unable to mount volumes for pod "p_default": {why}')
    await eventually(lambda: told(node, event))
    mounts_of(node).refusing.clear()
    await node.status(running)
    assert [remote.type for remote in mounts_of(node).remote.values()] == ["nfs"]


async def test_a_mount_that_broke_is_made_anew_with_the_pod(node: OneNode) -> None:
    """Its FUSE process was killed: the next pause container finds it out."""
    await servers(node, "10.245.1.2")
    await node.create(MOUNT, volumes=[{"name": "v", **GLUSTER}])
    await node.status(running)
    mounts = mounts_of(node)
    [place] = mounts.remote
    mounts.dead.add(place)
    assert isinstance(node.runtime, FakeRuntime)
    node.runtime.forget("p")
    await eventually(lambda: place in mounts.remote and not mounts.dead)
    await node.status(running)


async def test_while_the_api_server_is_away_the_claim_is_what_it_was(
    node: OneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bind(node, {"hostPath": {"path": "/srv"}})
    await node.create(MOUNT, volumes=[CLAIMED])
    await node.status(running)

    async def away(*_: object) -> None:
        raise ServerUnavailable("away")

    monkeypatch.setattr(node.kubelet.claims._client, "get", away)
    assert isinstance(node.runtime, FakeRuntime)
    before = {c.id for c in await node.runtime.containers()}
    node.runtime.forget("p")

    async def started_again() -> bool:
        now = [c for c in await node.runtime.containers() if c.name == "c" and c.running]
        return bool(now) and now[0].id not in before

    await eventually(started_again, 10)
    (mount,) = [m for m in config_of(node).mounts if m.target == "/v"]
    assert mount.source == "/srv"


async def test_a_claim_to_be_read_only(node: OneNode) -> None:
    await bind(node, {"hostPath": {"path": "/srv"}})
    await node.create(MOUNT, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "mine", "readOnly": True}}])
    await node.status(running)
    (mount,) = [m for m in config_of(node).mounts if m.target == "/v"]
    assert mount == Mount("/srv", "/v", read_only=True)


async def test_orphans_are_unmounted(node: OneNode) -> None:
    """The pod was removed while there was no kubelet."""
    await servers(node, "10.245.1.2")
    await node.create(MOUNT, volumes=[{"name": "v", **GLUSTER}])
    await node.status(running)
    await node.end_kubelet()
    assert isinstance(node.runtime, FakeRuntime)
    node.runtime.forget("p")
    await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
    assert mounts_of(node).remote
    node.start_kubelet()
    await eventually(lambda: not mounts_of(node).remote)
    await asyncio.sleep(0)
    await eventually(lambda: not node.kubelet.volumes.pods())
