"""Storage on the machines: who keeps what, what gluster is asked, and what its answers mean."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from labkit import cluster as clusters
from labkit.api.types import Endpoints, PersistentVolume, Service, copy
from labkit.client.rest import Client
from labkit.cluster import Cluster, ClusterError, Machine
from labkit.components.kube_apiserver.server import start_in_process
from labkit.provision import glusterfs, own, storage
from labkit.provision.desired import Desired, desired
from labkit.provision.pki import Pki, identities
from labkit.provision.registry import credentials
from labkit.provision.render import Sources
from labkit.provision.wheels import Wheel


def cluster(*more: Machine, kind: str = "glusterfs") -> Cluster:
    found = clusters.fresh("lab", "10.245.1.0/24")
    found.storage = kind
    found.machines += more
    return found


AGENT3 = Machine(name="agent3", roles=["agent"], address="10.245.1.14", pod_subnet=4)
POOL = """UUID\t\t\t\t\tHostname    \tState
349937a2-2141-4252-b8a7-5696f01f4638\t10.245.1.12\tConnected 
f67e3f80-1548-40e9-a7b2-6cb56ea4c039\t10.245.1.13\tDisconnected 
1fb1e10a-9371-4036-9059-c25c61904652\tlocalhost   \tConnected 
"""
START = "gluster --mode=script volume start data"
INFO = """
Volume Name: data
Type: Replicate
Status: Started
Bricks:
Brick1: 10.245.1.11:/srv/glusterfs/data

Volume Name: other
Status: Created
"""
HEALED = "Brick a\nStatus: Connected\nTotal Number of entries: 0\n\nBrick b\nTotal Number of entries: 0\n"


def test_the_first_three_keep_the_copies_the_master_among_them() -> None:
    assert [machine.name for machine in cluster(AGENT3).storage_servers] == ["master", "agent1", "agent2"]
    last = cluster(AGENT3)
    last.machines.reverse()
    assert [machine.name for machine in last.storage_servers] == ["master", "agent3", "agent2"]
    assert cluster(kind="").storage_servers == []


def wanted(of: Cluster, machine: Machine, state: Path) -> Desired:
    pki = Pki(state / "pki")
    pki.ensure(of)
    return desired(Sources(of, pki, credentials(state), Wheel("labkit-1-py3-none-any.whl", b"", {})), machine)


def test_what_is_on_the_machines(tmp_path: Path) -> None:
    """glusterd on servers, everybody's certificate for itself alone, the key for root."""
    of = cluster(AGENT3)
    server, client = (wanted(of, machine, tmp_path) for machine in (of.master, AGENT3))
    assert "glusterd" in server.unit_names()
    assert "glusterd" not in client.unit_names()
    assert set(own.services(of, of.master)) == set(server.unit_names())
    assert set(own.services(of, AGENT3)) == set(client.unit_names())
    for each, name in ((server, "master"), (client, "agent3")):
        files = {file.path: file for file in each.all_files()}
        assert files["/usr/lib/ssl/glusterfs.key"].mode == 0o600
        assert files["/usr/lib/ssl/glusterfs.pem"].content == Pki(tmp_path / "pki").certificate(f"{name}-glusterfs")
        assert "/var/lib/glusterd/secure-access" in files
    vol = next(file for file in server.all_files() if file.path.endswith("glusterd.vol")).content.decode()
    assert "bind-address 10.245.1.11" in vol
    assert "`" not in vol  # glusterd runs what stands between two


def test_without_storage_there_is_nothing_of_it(tmp_path: Path) -> None:
    of = cluster(kind="")
    assert not [each for each in identities(of) if "glusterfs" in each.name]
    for machine in of.machines:
        assert not [path for path in wanted(of, machine, tmp_path).paths() if "gluster" in path]


def test_a_word_in_cluster_json_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with pytest.raises(ClusterError, match="storage: 'ceph', expected glusterfs or nothing"):
        clusters.init("lab", storage="ceph")
    assert clusters.init("lab", storage="glusterfs").storage == "glusterfs"
    assert clusters.init("lab", agents=3).storage == "glusterfs"
    assert clusters.init("lab", storage="").storage == ""


def test_making_a_volume() -> None:
    command = glusterfs.create(cluster(AGENT3), "data")
    bricks = " ".join(f"10.245.1.1{number}:/srv/glusterfs/data" for number in (1, 2, 3))
    assert command.startswith(f"gluster --mode=script volume create data replica 3 {bricks} force && ")
    allowed = "master-glusterfs,agent1-glusterfs,agent2-glusterfs,agent3-glusterfs"
    options = f"client.ssl on server.ssl on network.ping-timeout 10 auth.ssl-allow {allowed}"
    assert command.endswith(f" && gluster --mode=script volume set data {options} && {START}")
    one = cluster()
    one.machines = one.machines[:1]
    assert "create data 10.245.1.11:/srv/glusterfs/data force" in glusterfs.create(one, "data")


def test_what_gluster_answers() -> None:
    assert glusterfs.connected(POOL) == {"10.245.1.12", "localhost"}
    assert glusterfs.connected("Connection failed. Please check if gluster daemon is operational.\n") == set()
    assert glusterfs.volumes(INFO) == {"data": True, "other": False}
    assert glusterfs.volumes("No volumes present\n") == {}
    assert glusterfs.to_heal(HEALED) == 0
    assert glusterfs.to_heal(HEALED.replace("entries: 0", "entries: 2", 1)) == 2
    assert glusterfs.to_heal(HEALED.replace("entries: 0", "entries: -", 1)) is None
    assert glusterfs.to_heal("") is None


@pytest.mark.parametrize(
    ("name", "is_one"), [("data", True), ("a-1", True), ("", False), ("-x", False), ("a;b", False), ("a" * 43, False)]
)
def test_names_of_volumes(name: str, is_one: bool) -> None:
    assert bool(storage.VOLUME_NAME.fullmatch(name)) == is_one


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await start_in_process() as server, Client(server.base_url) as found:
        yield found


async def test_the_objects_are_made_once_and_repaired(client: Client) -> None:
    of = cluster()
    assert await storage.ensure(client, of) == ["service glusterfs-cluster", "endpoints glusterfs-cluster"]
    assert await storage.ensure(client, of) == []
    found = copy(await client.get(Endpoints, "glusterfs-cluster", "default"))
    assert [address.ip for address in found.subsets[0].addresses] == ["10.245.1.11", "10.245.1.12", "10.245.1.13"]
    found.subsets[0].addresses.pop()
    await client.update(found)
    assert await storage.ensure(client, of) == ["endpoints glusterfs-cluster"]
    assert (await client.get(Service, "glusterfs-cluster", "default")).spec.selector == {}


async def test_a_volume_is_offered_once(client: Client) -> None:
    volume: Any = storage.persistent_volume("data", "5Gi", "Recycle")
    assert await storage.offer(client, volume)
    assert not await storage.offer(client, volume)
    stored = await client.get(PersistentVolume, "data")
    assert stored.spec.glusterfs is not None
    assert (stored.spec.glusterfs.endpoints, stored.spec.glusterfs.path) == ("glusterfs-cluster", "data")
    assert stored.spec.persistent_volume_reclaim_policy == "Recycle"
