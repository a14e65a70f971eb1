"""Components of somebody's own: which files are taken, and what becomes of them on the master."""

from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import own, push
from labkit.provision.desired import desired
from labkit.provision.pki import Pki
from labkit.provision.registry import credentials
from labkit.provision.render import Sources
from labkit.provision.wheels import Wheel

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return clusters.init("lab")


def sources(cluster: Cluster) -> Sources:
    pki = Pki(cluster.state / "pki")
    pki.ensure(cluster)
    return Sources(cluster, pki, credentials(cluster.state), Wheel("labkit-1-py3-none-any.whl", b"", {}))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_becomes_a_service_of_the_master_and_of_nobody_else(cluster: Cluster, example: Path) -> None:
    name = own.keep(cluster, example)
    assert name == example.stem.replace("_", "-")
    master = desired(sources(cluster), cluster.master)
    assert name in master.unit_names()
    assert name in push.components(cluster)
    assert name not in desired(sources(cluster), cluster.agents[0]).unit_names()
    found = {file.path: file for file in master.all_files()}
    assert found[f"/etc/kubernetes/own/{name}.py"].content == example.read_bytes()
    unit = found[f"/etc/systemd/system/{name}.service"].content.decode()
    assert "-m labkit.client.own_component $ARGS" in unit
    assert "User=kube\n" in unit
    environment = found[f"/etc/kubernetes/{name}.env"].content.decode()
    handed = {line.split("=")[1].split(":")[0] for line in unit.splitlines() if line.startswith("LoadCredential=")}
    for file in (f"own-{name}.py", f"own-{name}.kubeconfig"):
        assert f"/run/credentials/{name}.service/{file}" in environment
        assert file in handed or file.replace("own-", "own-", 1) in handed


def test_it_is_somebody_of_its_own(cluster: Cluster) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    own.keep(cluster, EXAMPLES / "my_scheduler.py")
    found = x509.load_pem_x509_certificate(sources(cluster).pki.certificate("own-my-scheduler"))
    says = {each.oid: each.value for each in found.subject}
    assert says == {NameOID.COMMON_NAME: "labkit:own:my-scheduler", NameOID.ORGANIZATION_NAME: "labkit:own"}


def test_a_changed_file_restarts_it_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("async def run(client): ...\n")
    own.keep(cluster, file)
    before = {service.name: service.digest() for service in desired(sources(cluster), cluster.master).services}
    file.write_text("async def run(client): 'anew'\n")
    own.keep(cluster, file)
    after = {service.name: service.digest() for service in desired(sources(cluster), cluster.master).services}
    assert [name for name in before if before[name] != after[name]] == ["mine"]


def test_forgotten_is_forgotten(cluster: Cluster) -> None:
    own.keep(cluster, EXAMPLES / "my_scheduler.py")
    sources(cluster)
    own.forget(cluster, "my-scheduler")
    assert own.names(cluster) == []
    assert not list((cluster.state / "pki").glob("own-*"))


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("x.py", "async def run(client): ...", "expected a file name that can be a service's"),
        ("my loop.py", "async def run(client): ...", "expected a file name that can be a service's"),
        ("kube_dns.py", "async def run(client): ...", "kube-dns is a service of labkit's own"),
        ("mine.py", "async def run(client):\n    ){", r"mine\.py:2: unmatched"),
        ("mine.py", "def run(client): ...", "expected `async def run\\(client\\)`"),
        ("mine.py", "async def run(): ...", "expected `async def run\\(client\\)`"),
        ("mine.py", "", "expected `async def run\\(client\\)`"),
        ("mine.py", "\0", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_one_is_refused(
    cluster: Cluster, tmp_path: Path, name: str, text: str, fault: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(own.OwnFileError, match=fault):
        own.keep(cluster, tmp_path / name)
    assert own.names(cluster) == []


def test_a_file_that_is_not_there(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(own.OwnFileError, match=r"gone\.py: cannot be read: No such file"):
        own.keep(cluster, tmp_path / "gone.py")
