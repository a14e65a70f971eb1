"""`labkit storage down`: what `labkit storage up` brought goes again, and the data of all volumes with it.

    API        the PersistentVolumes that lead to glusterfs-cluster, its Service and Endpoints
    master     gluster: each volume stopped and deleted, the other servers let go
    machines   glusterd ended; its state, bricks, logs, certificates and unit files removed; the master comes last
    host       the storage CA with all that it signed; cluster.json says no more that there is storage

While somebody uses a volume nothing is removed. A run that was interrupted is taken up by the next one.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

from labkit import cluster as clusters
from labkit.api.errors import NotFound
from labkit.api.types import Endpoints, PersistentVolume, Pod, Service, key
from labkit.client.rest import Client
from labkit.cluster import Cluster
from labkit.provision import admin, glusterfs
from labkit.provision.pki import identities
from labkit.provision.report import HOST, Report
from labkit.provision.ssh import Ssh
from labkit.provision.storage import NAME, NAMESPACE

ENDED = ("Succeeded", "Failed")  # a pod's phases
GIVEN_UP = ("Released", "Failed")  # a volume's, whose claim is gone


def users(volumes: Iterable[PersistentVolume], pods: Iterable[Pod]) -> Iterator[str]:
    """Who uses the storage, in words: a claim that has one of its volumes, a pod that mounts one by itself."""
    for volume in volumes:
        claim = volume.spec.claim_ref
        if _is_ours(volume) and claim is not None and volume.status.phase not in GIVEN_UP:
            yield f"claim {claim.namespace}/{claim.name} has volume {volume.metadata.name}"
    for pod in pods:
        mounted = [each.name for each in pod.spec.volumes if each.glusterfs and each.glusterfs.endpoints == NAME]
        if mounted and pod.status.phase not in ENDED:
            yield f"pod {key(pod)} mounts {', '.join(mounted)}"


def _is_ours(volume: PersistentVolume) -> bool:
    return volume.spec.glusterfs is not None and volume.spec.glusterfs.endpoints == NAME


def in_use(cluster: Cluster) -> list[str]:
    """Asks kube-apiserver; raises ApiError."""

    async def ask() -> list[str]:
        async with admin.client(cluster) as client:
            return [*users((await client.list(PersistentVolume)).items, (await client.list(Pod)).items)]

    return asyncio.run(ask())


def down(cluster: Cluster, report: Report) -> None:
    """Everything of it, in the order above. Raises CommandFailed, ApiError."""

    async def forget_objects() -> None:
        async with admin.client(cluster) as client:
            await forget(client)

    report.step(HOST, "remove the volumes from the API")
    asyncio.run(forget_objects())
    report.step(HOST, "delete the volumes of GlusterFS")
    with Ssh(cluster, cluster.master) as ssh:
        ssh.run(glusterfs.dissolve(cluster), timeout=120, what="delete the volumes of GlusterFS")
    report.step(HOST, "remove GlusterFS from the machines")
    for machine in sorted(cluster.machines, key=lambda each: each.is_master):
        report.detail(HOST, machine.name)
        with Ssh(cluster, machine) as ssh:
            ssh.run(glusterfs.CLEAR, timeout=60, what="remove GlusterFS")
    forget_certificates(cluster)
    cluster.storage = ""
    clusters.save(cluster)
    report.done(HOST)


def forget_certificates(cluster: Cluster) -> None:
    names = [glusterfs.CA, *(each.name for each in identities(cluster) if each.ca == glusterfs.CA)]
    for name in names:
        for suffix in ("crt", "key"):
            (cluster.state / "pki" / f"{name}.{suffix}").unlink(missing_ok=True)


async def forget(client: Client) -> None:
    """The objects of the API; those that are not there are no fault."""
    for volume in (await client.list(PersistentVolume)).items:
        if _is_ours(volume):
            with suppress(NotFound):
                await client.delete(PersistentVolume, volume.metadata.name)
    for kind in (Service, Endpoints):
        with suppress(NotFound):
            await client.delete(kind, NAME, NAMESPACE)
