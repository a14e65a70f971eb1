"""The rows of the CIS benchmark that need something that runs: real TLS, a real audit log, etcd, tar."""

import contextlib
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.provision.desired import desired
from labkit.provision.pki import Pki
from labkit.provision.plan import tar
from labkit.provision.registry import credentials
from labkit.provision.render import Sources
from labkit.provision.wheels import Wheel
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer

SECRET = {"metadata": {"name": "s"}, "data": {"password": "bm90IGluIHRoZSBsb2c="}}


@pytest.fixture(scope="module")
def server(shared_etcd: EtcdServer, shared_authority: Authority) -> Iterator[ApiServer]:
    folder = shared_etcd.folder
    flags = (f"--audit-log-path={folder / 'audit.log'}",)
    with api_server(folder, shared_etcd, shared_authority, flags=flags) as server:
        yield server


def ask(server: ApiServer, path: str, user: str = "admin", group: str = "system:masters", **request: object) -> int:
    """The status code."""
    context = server.context(user, *([group] if group else []))
    try:
        with urllib.request.urlopen(
            urllib.request.Request(server.url + path, **request),  # type: ignore[arg-type]
            timeout=5,
            context=context,
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.cis("1.2.15")
@pytest.mark.parametrize("path", ["/debug/pprof/", "/debug/pprof/profile", "/debug/flags/v"])
def test_no_profiling_even_for_admin(server: ApiServer, path: str) -> None:
    assert ask(server, path) == 404


@pytest.mark.cis("1.2.29")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("newest", "ciphers", "admitted"),
    [
        (ssl.TLSVersion.TLSv1_3, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", True),  # by a suite of TLS 1.3
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384", True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", False),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256", False),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", False),
    ],
)
def test_strong_tls_only(server: ApiServer, newest: ssl.TLSVersion, ciphers: str, admitted: bool) -> None:
    context = server.context("admin", "system:masters")
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
    refused = contextlib.nullcontext() if admitted else pytest.raises((urllib.error.URLError, ConnectionError))
    with refused, urllib.request.urlopen(f"{server.url}/version", timeout=5, context=context) as answer:
        assert answer.status == 200


@pytest.mark.cis("5.1.8")
def test_nobody_can_be_somebody_else(server: ApiServer) -> None:
    headers = {"Impersonate-User": "admin", "Impersonate-Group": "system:masters"}
    for path, code in (("/api/v1/pods", 200), ("/api/v1/secrets", 403)):  # as the policy of the tests has it for reader
        assert ask(server, path, "reader", "", headers=headers) == code


@pytest.mark.cis("1.2.16", "3.2.1", "3.2.2")
def test_what_the_audit_log_tells(server: ApiServer) -> None:
    pods, secrets = (f"/api/v1/namespaces/default/{kind}" for kind in ("pods", "secrets"))
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert ask(server, secrets, data=json.dumps(SECRET).encode(), method="POST") == 201
    assert ask(server, f"{secrets}/s") == 200
    assert ask(server, f"{secrets}/s", "reader", "") == 403
    assert ask(server, pods, data=json.dumps(pod).encode(), method="POST") == 201
    for subresource in ("exec?command=id", "portforward", "proxy/"):
        assert ask(server, f"{pods}/p/{subresource}", "reader", "", method="POST") == 403
    path = server.folder / "audit.log"
    assert path.stat().st_mode & 0o777 == 0o600
    expected = {
        ("create", "secrets", "", "admin", 201), ("get", "secrets", "", "admin", 200),
        ("get", "secrets", "", "reader", 403), ("create", "pods", "", "admin", 201),
        ("create", "pods", "exec", "reader", 403), ("create", "pods", "portforward", "reader", 403),
        ("create", "pods", "proxy", "reader", 403),
    }  # fmt: skip
    deadline = time.monotonic() + 5  # a line may come a moment after its answer
    while not expected <= (told := told_by(path)):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    assert "bm90IGluIHRoZSBsb2c" not in path.read_text()
    assert {json.loads(line)["level"] for line in path.read_text().splitlines()} == {"Metadata"}


def told_by(log: Path) -> set[tuple[str, str, str, str, int]]:
    """(verb, resource, subresource, user, code) of all lines about objects."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    about = [(line, line["objectRef"]) for line in lines if line.get("objectRef")]
    return {
        (line["verb"], of["resource"], of.get("subresource", ""), line["user"]["username"],
         line["responseStatus"]["code"])
        for line, of in about
    }  # fmt: skip


@pytest.mark.cis("1.1.11")
def test_what_etcd_keeps_is_its_own(shared_etcd: EtcdServer) -> None:
    data = shared_etcd.folder / "data"
    folders = [data, *(path for path in data.rglob("*") if path.is_dir())]
    assert len(folders) > 2
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}


@pytest.mark.cis("1.1.1", "1.1.2", "1.1.19", "1.1.20", "1.1.21", "4.1.1", "4.1.2", "4.1.9", "4.1.10")
def test_files_as_they_are_unpacked_on_a_machine(tmp_path: Path) -> None:
    cluster = clusters.fresh("lab", "10.245.1.0/24")
    pki = Pki(tmp_path / "pki")
    pki.ensure(cluster)
    sources = Sources(cluster, pki, credentials(tmp_path), Wheel("labkit-1-py3-none-any.whl", b"", {}))
    for machine in cluster.machines[:2]:
        root = tmp_path / machine.name
        root.mkdir()
        command = ["tar", "--extract", "--preserve-permissions", "--unlink-first", f"--directory={root}"]
        subprocess.run(command, input=tar(desired(sources, machine).all_files()), timeout=20, check=True)
        private = [path for path in (root / "etc/kubernetes").rglob("*") if path.is_file()]
        private += [root / "etc/systemd/system" / f"{name}.service" for name in ("kube-proxy",)]
        assert len(private) > 5
        for path in private:
            found = path.stat()
            assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o600, 0, 0), path
