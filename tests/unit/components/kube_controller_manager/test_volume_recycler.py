"""What becomes of a released volume."""

from typing import Any

import pytest

from labkit.api.types import (
    Condition,
    Container,
    GCEPersistentDiskVolumeSource,
    HostPathVolumeSource,
    NFSVolumeSource,
    Node,
    NodeStatus,
    ObjectMeta,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    Pod,
    PodSpec,
    PodStatus,
    Volume,
    key,
)
from labkit.components.kube_controller_manager.volume_recycler import Step, reclaim, scrubber

REF = ObjectReference(namespace="team", name="data", uid="7")
NFS = {"nfs": NFSVolumeSource(server="master", path="/exports")}
LOCAL = {"host_path": HostPathVolumeSource(path="/data")}
DISK = {"gce_persistent_disk": GCEPersistentDiskVolumeSource(pd_name="d")}


def released(policy: str = "Recycle", phase: str = "Released", source: Any = NFS) -> PersistentVolume:
    spec = PersistentVolumeSpec(persistent_volume_reclaim_policy=policy, claim_ref=REF, **source)
    return PersistentVolume(
        metadata=ObjectMeta(name="vol", uid="u"), spec=spec, status=PersistentVolumeStatus(phase=phase)
    )


def node(name: str, ready: str = "True") -> Node:
    return Node(metadata=ObjectMeta(name=name), status=NodeStatus(conditions=[Condition(type="Ready", status=ready)]))


def ended(pod: Pod, phase: str, message: str = "") -> dict[str, Pod]:
    return {key(pod): Pod(metadata=pod.metadata, spec=pod.spec, status=PodStatus(phase=phase, message=message))}


@pytest.mark.parametrize(
    ("volume", "failure"),
    [
        (released("Retain"), ""),
        (released(phase="Bound"), ""),
        (released(phase="Failed"), ""),
        (released("Delete"), "volumes of kind nfs cannot be deleted: remove the data and the volume by hand"),
        (released(source=DISK),
         "no recyclable volume plugin matched: gce persistent disk is none of host path, nfs, glusterfs"),
    ],
)  # fmt: skip
def test_nothing_to_scrub(volume: PersistentVolume, failure: str) -> None:
    assert reclaim(volume, [node("agent1")], {}) == Step(failure=failure)


def test_a_volume_in_the_network_is_scrubbed_once() -> None:
    volume = released()
    pod = scrubber(volume)
    assert pod.metadata.name.startswith("pv-scrubber-vol-")
    assert pod.spec.node_name == ""
    assert pod.spec.volumes[0].nfs == volume.spec.nfs
    waits = f"is scrubbed by {pod.metadata.name}"
    nodes = [node("agent1"), node("agent2")]
    assert reclaim(volume, nodes, {}) == Step(start=[pod], waits=waits)
    assert reclaim(volume, nodes, ended(pod, "Running")) == Step(waits=waits)
    assert reclaim(volume, nodes, ended(pod, "Succeeded")) == Step(free=True)
    failure = f"pod {pod.metadata.name} failed: Pod was active on the node longer than specified deadline"
    late = ended(pod, "Failed", "Pod was active on the node longer than specified deadline")
    assert reclaim(volume, nodes, late) == Step(failure=failure)


def test_a_directory_of_the_machines_is_scrubbed_on_each() -> None:
    volume = released(source=LOCAL)
    one, two = scrubber(volume, "agent1"), scrubber(volume, "agent2")
    assert (one.spec.node_name, two.spec.node_name) == ("agent1", "agent2")
    assert one.metadata.name != two.metadata.name
    both = f"is scrubbed by {one.metadata.name}, {two.metadata.name}"
    assert reclaim(volume, [node("agent1"), node("agent2")], {}) == Step(start=[one, two], waits=both)
    # a machine that is away cannot start one, and is waited for
    away = [node("agent1"), node("agent2", "Unknown")]
    assert reclaim(volume, away, {}) == Step(start=[one], waits=both)
    assert reclaim(volume, away, ended(one, "Succeeded")) == Step(waits=f"is scrubbed by {two.metadata.name}")
    assert reclaim(volume, away, ended(one, "Succeeded") | ended(two, "Succeeded")) == Step(free=True)
    assert reclaim(volume, [], {}) == Step(waits="there is no node to scrub it on")


def test_not_under_a_pod_that_still_uses_it() -> None:
    mount = Volume(name="v", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name="data"))
    user = Pod(
        metadata=ObjectMeta(name="web", namespace="team", deletion_timestamp="2015-06-01T00:00:00Z"),
        spec=PodSpec(containers=[Container(name="c")], volumes=[mount]),
        status=PodStatus(phase="Running"),
    )
    assert reclaim(released(), [], {key(user): user}) == Step(waits="pods still use it: team/web")
    assert reclaim(released(), [], ended(user, "Succeeded")).start
    user.metadata.namespace = "other"
    assert reclaim(released(), [], {key(user): user}).start


def test_the_scrubber_of_another_claim_is_another_pod() -> None:
    volume, other = released(), released()
    other.spec.claim_ref = ObjectReference(namespace="team", name="data", uid="8")
    assert scrubber(volume).metadata.name == scrubber(volume).metadata.name != scrubber(other).metadata.name
    other.metadata.name = "a" * 43 + "-" + "b" * 60
    assert scrubber(other).metadata.name.startswith("pv-scrubber-" + "a" * 43 + "-")
    assert len(scrubber(other).metadata.name) <= 63
