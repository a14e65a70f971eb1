"""Storage that goes again: while nobody uses it, and whole."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from labkit import cluster as clusters
from labkit.api.types import Endpoints, PersistentVolume, Pod, Service
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.provision import glusterfs, storage, storage_down
from labkit.provision.pki import Pki


def volume(name: str, phase: str, *, ours: bool = True, claimed: bool = True) -> PersistentVolume:
    endpoints = storage.NAME if ours else "somebody-else-s"
    spec: dict[str, Any] = {"glusterfs": {"endpoints": endpoints, "path": name}}
    spec |= {"claimRef": {"namespace": "default", "name": "mine"}} if claimed else {}
    return msgspec.convert({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}, PersistentVolume)


def pod(phase: str, endpoints: str) -> Pod:
    volumes = [{"name": "v", "glusterfs": {"endpoints": endpoints, "path": "x"}}, {"name": "w", "emptyDir": {}}]
    spec = {"containers": [{"name": "c", "image": "busybox"}], "volumes": volumes}
    meta = {"name": "p", "namespace": "default"}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"phase": phase}}, Pod)


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (volume("data", "Bound"), ["claim default/mine has volume data"]),
        (volume("data", ""), ["claim default/mine has volume data"]),  # the binder is about to
        (volume("data", "Released"), []),
        (volume("data", "Available", claimed=False), []),
        (volume("data", "Bound", ours=False), []),
    ],
)
def test_claims_that_use_it(one: PersistentVolume, who: list[str]) -> None:
    assert list(storage_down.users([one], [])) == who


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (pod("Running", storage.NAME), ["pod default/p mounts v"]),
        (pod("Succeeded", storage.NAME), []),
        (pod("Running", "somebody-else-s"), []),
    ],
)
def test_pods_that_use_it(one: Pod, who: list[str]) -> None:
    assert list(storage_down.users([], [one])) == who


async def test_the_objects_go_and_nobody_else_s() -> None:
    of = clusters.fresh("lab", "10.245.1.0/24")
    of.storage = "glusterfs"
    async with await start_in_process() as server, Client(server.base_url) as client:
        await storage.ensure(client, of)
        await storage.offer(client, storage.persistent_volume("data", "1Gi", "Retain"))
        other = volume("other", "", ours=False, claimed=False)
        other.spec.capacity, other.spec.access_modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
        await client.create(other)
        for _ in range(2):  # the second time nothing is there
            await storage_down.forget(client)
            assert [each.metadata.name for each in (await client.list(PersistentVolume)).items] == ["other"]
        for kind in (Service, Endpoints):
            assert storage.NAME not in [each.metadata.name for each in (await client.list(kind)).items]


def test_certificates_of_storage_go_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    of = clusters.init("lab", storage="glusterfs")
    pki = Pki(of.state / "pki")
    pki.ensure(of)
    before = {path.name for path in pki.directory.iterdir()}
    storage_down.forget_certificates(of)
    gone = before - {path.name for path in pki.directory.iterdir()}
    machines = [f"{machine.name}-glusterfs" for machine in of.machines]
    assert gone == {f"{name}.{suffix}" for name in ("storage-ca", *machines) for suffix in ("crt", "key")}
    of.storage = ""
    assert pki.ensure(of) == []


def test_what_a_machine_runs_for_it() -> None:
    of = clusters.fresh("lab", "10.245.1.0/24")
    of.storage = "glusterfs"
    command = glusterfs.dissolve(of)
    assert "for peer in 10.245.1.12 10.245.1.13; do" in command
    for path in ("/srv/glusterfs", "/usr/lib/ssl/glusterfs.key", "/etc/systemd/system/glusterd.service.d"):
        assert path in glusterfs.CLEAR
