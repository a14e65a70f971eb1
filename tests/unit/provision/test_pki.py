"""Who signs whom, what the certificates say, and that a second run touches nothing."""

import datetime
import ipaddress
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import pki
from labkit.provision.pki import Pki, identities, says


@pytest.fixture
def cluster() -> Cluster:
    return clusters.fresh("lab", "10.245.1.0/24")


@pytest.fixture
def made(tmp_path: Path, cluster: Cluster) -> Pki:
    keys = Pki(tmp_path / "pki")
    keys.ensure(cluster)
    return keys


def read(keys: Pki, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(keys.certificate(name))


def test_etcds_authority_signs_three_certificates_and_nothing_else(cluster: Cluster) -> None:
    signed = {identity.name: identity.common_name for identity in identities(cluster) if identity.ca == "etcd-ca"}
    assert signed == {"etcd": "etcd", "etcd-kube-apiserver": "kube-apiserver", "etcd-operator": "operator"}


def test_every_certificate_is_signed_by_its_own_authority_and_by_no_other(made: Pki, cluster: Cluster) -> None:
    for identity in identities(cluster):
        other = "etcd-ca" if identity.ca == "ca" else "ca"
        read(made, identity.name).verify_directly_issued_by(read(made, identity.ca))
        with pytest.raises(ValueError):
            read(made, identity.name).verify_directly_issued_by(read(made, other))


def test_kube_apiserver_is_named_as_every_client_calls_it(made: Pki) -> None:
    assert says(read(made, "kube-apiserver"))[2] == {
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "master",
        "10.0.0.1",
        "10.245.1.11",
        "127.0.0.1",
    }
    names = read(made, "kube-apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("10.0.0.1") in names.get_values_for_type(x509.IPAddress)


def test_a_kubelet_is_a_node_and_serves_under_its_name_and_address(made: Pki) -> None:
    assert says(read(made, "agent1-kubelet"))[:2] == ("system:node:agent1", {"system:nodes"})
    assert says(read(made, "agent1-kubelet-serving"))[2] == {"agent1", "10.245.1.12"}


def test_a_client_certificate_cannot_serve_and_a_serving_one_cannot_be_a_client(made: Pki) -> None:
    server, client = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
    assert says(read(made, "kube-scheduler"))[3] == {client}
    assert says(read(made, "agent2-kubelet-serving"))[3] == {server}


def test_keys_are_p256_and_only_their_owner_reads_them(made: Pki, cluster: Cluster) -> None:
    assert stat.S_IMODE(made.directory.stat().st_mode) == 0o700
    for path in made.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for identity in identities(cluster):
        public = read(made, identity.name).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert isinstance(public.curve, ec.SECP256R1)


def test_a_second_run_makes_nothing(made: Pki, cluster: Cluster) -> None:
    before = {path: path.read_bytes() for path in made.directory.iterdir()}
    assert made.ensure(cluster) == []
    assert {path: path.read_bytes() for path in made.directory.iterdir()} == before


def test_only_what_names_a_changed_address_is_made_anew(made: Pki, cluster: Cluster) -> None:
    cluster.master.address = "10.245.1.99"
    assert made.ensure(cluster) == ["kube-apiserver", "registry"]


def test_a_new_agent_gets_its_own_and_leaves_the_others_alone(made: Pki, cluster: Cluster) -> None:
    clusters.resize(cluster, 3)
    assert made.ensure(cluster) == ["agent3-kube-proxy", "agent3-kubelet", "agent3-kubelet-serving"]


def test_what_nears_its_end_is_renewed(made: Pki, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=pki.CERTIFICATE_DAYS - pki.RENEW_DAYS + 1)
    monkeypatch.setattr(pki, "_now", lambda: later)
    assert made.ensure(cluster) == [identity.name for identity in identities(cluster)]


def test_a_new_authority_means_new_certificates(made: Pki, cluster: Cluster) -> None:
    (made.directory / "etcd-ca.key").unlink()
    assert made.ensure(cluster) == ["etcd-ca", "etcd", "etcd-kube-apiserver", "etcd-operator"]


def test_a_damaged_certificate_is_replaced(made: Pki, cluster: Cluster) -> None:
    (made.directory / "admin.crt").write_text("not a certificate")
    assert made.ensure(cluster) == ["admin"]
