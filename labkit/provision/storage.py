"""Storage that outlives machines: `labkit storage up`, and volumes for claims.

    labkit storage up            every machine gets the client, the first three glusterd; they join; then in the API:
                                 Endpoints and Service glusterfs-cluster (namespace default): the servers
    labkit storage volume data   a volume of GlusterFS, and a PersistentVolume of the same name

The second run of each finds nothing to do. From then on `labkit up` sees to it, too.
"""

import re
import time

from labkit.api.errors import AlreadyExists, NotFound
from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    GlusterfsVolumeSource,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeSpec,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.rest import Client
from labkit.cluster import Cluster
from labkit.provision import glusterfs
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.kube_system import repair, same_endpoints
from labkit.provision.report import HOST, Report
from labkit.provision.ssh import Ssh

NAME = "glusterfs-cluster"
NAMESPACE = "default"
JOIN_SECONDS = 60
VOLUME_NAME = re.compile(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?")
MODES = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]


def join(cluster: Cluster, report: Report) -> None:
    """Make the servers know each other, and wait until they do. Raises CommandFailed."""
    others = [machine for machine in cluster.storage_servers if not machine.is_master]
    report.step(HOST, "join the servers of GlusterFS")
    with Ssh(cluster, cluster.master) as ssh:
        wanted = {machine.address for machine in others}
        if wanted <= glusterfs.connected(_ask(ssh, "pool list")):
            return
        ssh.run(glusterfs.probe(others), timeout=JOIN_SECONDS, what="join the servers of GlusterFS")
        deadline = time.monotonic() + JOIN_SECONDS
        while missing := wanted - glusterfs.connected(_ask(ssh, "pool list")):
            if time.monotonic() > deadline:
                what = f"{', '.join(sorted(missing))} connected"
                raise TimedOut(cluster.master.name, what, JOIN_SECONDS, tail=_ask(ssh, "peer status"))
            time.sleep(0.5)


def admit(cluster: Cluster, report: Report) -> None:
    """Every volume is for every machine of the cluster, also one that was added since."""
    with Ssh(cluster, cluster.master) as ssh:
        info = _ask(ssh, "volume info")
        allowed = ",".join(glusterfs.identity(machine) for machine in cluster.machines)
        for name in glusterfs.volumes(info):
            if f"auth.ssl-allow: {allowed}" not in _ask(ssh, f"volume info {name}"):
                report.step(HOST, f"open the volume {name} to every machine")
                ssh.run(glusterfs.admit(cluster, name), timeout=60)


async def ensure(client: Client, cluster: Cluster) -> list[str]:
    """The objects that lead pods to the servers; what was made or repaired.

    The Service keeps the Endpoints: an endpoint of no service would be removed with the next restart of others.
    """
    changed = []
    if await repair(client, service(), _same_service):
        changed.append(f"service {NAME}")
    if await repair(client, endpoints(cluster), same_endpoints):
        changed.append(f"endpoints {NAME}")
    return changed


def service() -> Service:
    return Service(metadata=_meta(), spec=ServiceSpec(ports=[ServicePort(port=1, target_port=1)]))


def endpoints(cluster: Cluster) -> Endpoints:
    """The port says nothing, but there has to be one: what is asked for is where the servers are."""
    addresses = [EndpointAddress(ip=machine.address) for machine in cluster.storage_servers]
    subset = EndpointSubset(addresses=addresses, ports=[EndpointPort(port=1, protocol="TCP")])
    return Endpoints(metadata=_meta(), subsets=[subset])


def _meta() -> ObjectMeta:
    return ObjectMeta(name=NAME, namespace=NAMESPACE)


def _same_service(found: Service, wanted: Service) -> bool:
    return not found.spec.selector


def persistent_volume(name: str, size: str, policy: str) -> PersistentVolume:
    return PersistentVolume(
        metadata=ObjectMeta(name=name),
        spec=PersistentVolumeSpec(
            capacity={"storage": size},
            access_modes=list(MODES),
            glusterfs=GlusterfsVolumeSource(endpoints=NAME, path=name),
            persistent_volume_reclaim_policy=policy,
        ),
    )


def make_volume(cluster: Cluster, name: str, report: Report) -> bool:
    """A volume of GlusterFS of that name, started; whether it was made now. Raises CommandFailed."""
    if not VOLUME_NAME.fullmatch(name):
        expected = "expected a letter and up to 41 of a-z, 0-9 and '-'"
        raise CommandFailed(HOST, "make a volume", tail=f"{name!r}: {expected}")
    report.step(HOST, f"make the volume {name}")
    with Ssh(cluster, cluster.master) as ssh:
        known = glusterfs.volumes(_ask(ssh, "volume info"))
        if name not in known:
            _create(ssh, glusterfs.create(cluster, name), f"make the volume {name}")
        elif not known[name]:
            ssh.run(f"{glusterfs.GLUSTER} volume start {name}", timeout=60)
    return name not in known


def _create(ssh: Ssh, command: str, what: str) -> None:
    """After a machine's death the servers meet again pair by pair: those that have not yet are waited for."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            ssh.run(command, timeout=120, what=what)
            return
        except CommandFailed as error:
            if "not connected" not in error.tail or time.monotonic() > deadline:
                raise
        time.sleep(1)


async def offer(client: Client, volume: PersistentVolume) -> bool:
    """Put it into the API; whether it was not there. What somebody made of it since is left alone."""
    try:
        await client.get(PersistentVolume, volume.metadata.name)
        return False
    except NotFound:
        pass
    try:
        await client.create(volume)
    except AlreadyExists:
        return False
    return True


def heal_state(cluster: Cluster) -> dict[str, int | None]:
    """By volume, how many entries wait to be healed; None where a server is away."""
    with Ssh(cluster, cluster.master) as ssh:
        names = glusterfs.volumes(_ask(ssh, "volume info"))
        return {name: glusterfs.to_heal(_ask(ssh, f"volume heal {name} info summary")) for name in names}


def peers(cluster: Cluster) -> dict[str, bool]:
    """The servers, and whether each is connected with the master's."""
    with Ssh(cluster, cluster.master) as ssh:
        there = glusterfs.connected(_ask(ssh, "pool list"))
    return {m.name: m.address in there or (m.is_master and "localhost" in there) for m in cluster.storage_servers}


def _ask(ssh: Ssh, question: str) -> str:
    """What gluster prints; the first answers of a glusterd that has just started may be refusals."""
    return ssh.run(f"{glusterfs.GLUSTER} {question}", timeout=60, check=False).out
