"""etcd with the settings and users that `labkit up` gives it, and every certificate of a cluster tried on it."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from labkit import cluster as clusters
from labkit.provision.pki import Pki, identities
from labkit.provision.plan import ETCD_USERS
from tests.node.real_etcd import free_port

CLUSTER = clusters.fresh("lab", "10.245.1.0/24")


@dataclass
class Etcd:
    """A running etcd, and the cluster's certificates."""

    endpoint: str
    certificates: Pki
    pki: Path
    """Laid out as on the master: ca.crt, server.*, operator.*."""

    def ctl(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """etcdctl with one of the cluster's certificates."""
        stem = self.certificates.directory / who
        command = ["etcdctl", "--command-timeout=1s", f"--endpoints={self.endpoint}", f"--cacert={self.pki}/ca.crt"]
        command += [f"--cert={stem}.crt", f"--key={stem}.key", *words]
        env = os.environ | {"ETCDCTL_API": "3"}
        return subprocess.run(command, capture_output=True, text=True, timeout=20, env=env, check=False)

    def make_users(self) -> None:
        env = os.environ | {"PKI": str(self.pki), "ENDPOINT": self.endpoint}
        subprocess.run(["sh", ETCD_USERS], env=env, capture_output=True, text=True, timeout=60, check=True)


def settings(folder: Path, client: int, peer: int) -> dict[str, str]:
    """The master's /etc/default/etcd with this test's folder and ports."""
    template = (ETCD_USERS.parent / "etcd.env.j2").read_text()
    text = jinja2.Template(template).render(machine=CLUSTER.master)
    for old, new in {"2379": client, "2380": peer, "/etc/etcd/pki": folder / "pki", "/var/lib/etcd": folder}.items():
        text = text.replace(old, str(new))
    return dict(re.findall(r"^(ETCD_\w+)=(.*)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    if not shutil.which("etcdctl"):
        pytest.skip("needs etcdctl: apt-get install etcd-client")
    folder = tmp_path_factory.mktemp("etcd")
    certificates = Pki(folder / "all")
    certificates.ensure(CLUSTER)
    (folder / "pki").mkdir()
    for name, file in {"etcd-ca": "ca", "etcd": "server", "etcd-operator": "operator"}.items():
        (folder / "pki" / f"{file}.crt").write_bytes(certificates.certificate(name))
        if file != "ca":
            (folder / "pki" / f"{file}.key").write_bytes(certificates.key(name))
    client = free_port()
    env = os.environ | settings(folder, client, free_port())
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["etcd"], env=env, stdout=log, stderr=log)
    made = Etcd(f"https://127.0.0.1:{client}", certificates, folder / "pki")
    try:
        deadline = time.monotonic() + 20
        while made.ctl("etcd-operator", "get", "/").returncode:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        made.make_users()
        yield made
    finally:
        process.terminate()
        process.wait(20)


def test_the_api_server_reads_and_writes_its_keys_and_no_others(etcd: Etcd) -> None:
    assert etcd.ctl("etcd-kube-apiserver", "put", "/registry/pods/default/a", "{}").returncode == 0
    assert "{}" in etcd.ctl("etcd-kube-apiserver", "get", "/registry/pods/default/a").stdout
    assert "permission denied" in etcd.ctl("etcd-kube-apiserver", "put", "/other", "x").stderr


def test_the_api_server_compacts_and_leases_with_its_rights(etcd: Etcd) -> None:
    etcd.ctl("etcd-kube-apiserver", "put", "/registry/b", "1")
    answer = etcd.ctl("etcd-kube-apiserver", "put", "/registry/b", "2", "--write-out=json").stdout
    revision = re.search(r'"revision":(\d+)', answer)
    assert revision
    assert etcd.ctl("etcd-kube-apiserver", "compact", revision[1]).returncode == 0
    assert etcd.ctl("etcd-kube-apiserver", "lease", "grant", "60").returncode == 0


def test_the_operator_reads_and_never_writes(etcd: Etcd) -> None:
    assert etcd.ctl("etcd-operator", "get", "--prefix", "/registry/").returncode == 0
    assert "permission denied" in etcd.ctl("etcd-operator", "put", "/registry/c", "x").stderr
    assert "permission denied" in etcd.ctl("etcd-operator", "del", "/registry/", "--prefix").stderr
    assert "permission denied" in etcd.ctl("etcd-operator", "get", "/", "--prefix").stderr


@pytest.mark.parametrize("who", [identity.name for identity in identities(CLUSTER) if identity.ca == "ca"])
@pytest.mark.cis("2.2", "2.7")
def test_no_other_certificate_of_the_cluster_gets_in(etcd: Etcd, who: str) -> None:
    refused = etcd.ctl(who, "get", "/registry/x")
    assert refused.returncode
    assert "certificate" in refused.stderr or "deadline" in refused.stderr


def test_etcds_own_certificate_is_nobody(etcd: Etcd) -> None:
    assert etcd.ctl("etcd", "get", "/registry/x").returncode


@pytest.mark.parametrize("who", ["etcd-operator", "etcd-kube-apiserver", "etcd"])
@pytest.mark.parametrize("words", ["user add eve --no-password", "user grant-role operator root", "auth disable"])
def test_nobody_is_root_any_more(etcd: Etcd, who: str, words: str) -> None:
    assert etcd.ctl(who, *words.split()).returncode
    assert etcd.ctl(who, *words.split(), "--user=root", "--password=").returncode


def test_the_users_can_be_made_again(etcd: Etcd) -> None:
    etcd.make_users()
    assert etcd.ctl("etcd-kube-apiserver", "put", "/registry/d", "x").returncode == 0
