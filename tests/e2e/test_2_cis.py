"""The rows of the CIS benchmark that only machines can show: files as they lie there, who listens, who runs as whom.

One shell session per machine reads everything; the tests judge what it printed.
"""

import re
from typing import NamedTuple

import pytest

from tests.e2e.conftest import Lab

LOOK = """
places='/etc/kubernetes /root/.kube /var/lib/etcd /etc/default/etcd /var/log/kube-apiserver /etc/systemd/system'
echo == files
find $places -maxdepth 6 \
  \\( -type f -o -type d \\) -printf '%m %u:%g %y %p\\n' 2>/dev/null
echo == listeners
ss -Hltn
echo == processes
ps -eo user:20,args --no-headers
echo == credentials
find /run/credentials -name '*.key' -printf '%m %u:%g %y %p\\n' 2>/dev/null
echo == profiling
for port in 10249 10251 10252; do
  curl -sm3 -o /dev/null -w "$port %{http_code}\\n" http://127.0.0.1:$port/debug/pprof/profile
done
true
"""


class File(NamedTuple):
    mode: int
    owner: str
    kind: str  # f or d
    path: str


class Seen(NamedTuple):
    """What a machine looked like. listeners: `127.0.0.1:10251`; processes: (user, command line)."""

    files: dict[str, File]
    listeners: set[str]
    processes: list[tuple[str, str]]
    credentials: list[File]
    profiling: dict[str, str]


def seen(printed: str) -> Seen:
    parts = dict(part.partition("\n")[::2] for part in re.split(r"(?m)^== ", printed)[1:])
    lines = {name: text.splitlines() for name, text in parts.items()}
    files = [_file(line) for line in lines["files"]]
    return Seen(
        {file.path: file for file in files},
        {line.split()[3] for line in lines["listeners"] if line},
        [(words[0], words[1]) for line in lines["processes"] if len(words := line.split(None, 1)) == 2],
        [_file(line) for line in lines["credentials"]],
        dict(line.split()[:2] for line in lines["profiling"] if line),  # type: ignore[arg-type]
    )


def _file(line: str) -> File:
    mode, owner, kind, path = line.split(" ", 3)
    return File(int(mode, 8), owner, kind, path)


@pytest.fixture(scope="module")
def master(lab: Lab) -> Seen:
    return seen(lab.on("master", LOOK))


@pytest.fixture(scope="module")
def agent(lab: Lab) -> Seen:
    return seen(lab.on("agent1", LOOK))


def is_private(machine: Seen, *paths: str) -> bool:
    return all((machine.files[path].mode, machine.files[path].owner) == (0o600, "root:root") for path in paths)


@pytest.mark.cis("1.1.1", "1.1.2", "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.7", "1.1.8")
def test_how_the_control_plane_is_started(master: Seen) -> None:
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert is_private(master, f"/etc/systemd/system/{name}.service", f"/etc/kubernetes/{name}.env")
    assert is_private(master, "/etc/default/etcd")


@pytest.mark.cis("1.1.11", "1.1.12")
def test_what_etcd_keeps(master: Seen) -> None:
    folders = [file for path, file in master.files.items() if path.startswith("/var/lib/etcd") and file.kind == "d"]
    assert len(folders) > 2
    assert {(file.mode, file.owner) for file in folders} == {(0o700, "etcd:etcd")}


@pytest.mark.cis("1.1.13", "1.1.14", "1.1.15", "1.1.16", "1.1.17", "1.1.18")
def test_credentials_of_people_and_components(master: Seen) -> None:
    names = ("admin", "kube-scheduler", "kube-controller-manager")
    assert is_private(master, "/root/.kube/config", *(f"/etc/kubernetes/{name}.kubeconfig" for name in names))
    # and the copies that systemd hands out: one user reads them, nobody writes
    assert len(master.credentials) >= 6
    assert {(file.mode, file.owner.partition(":")[0]) for file in master.credentials} == {(0o400, "kube")}


@pytest.mark.cis("1.1.19", "1.1.20", "1.1.21", "4.1.7", "4.1.8")
def test_the_pki(master: Seen, agent: Seen) -> None:
    for machine in (master, agent):
        pki = [file for path, file in machine.files.items() if path.startswith("/etc/kubernetes/pki")]
        assert {file.owner for file in pki} == {"root:root"}
        assert {file.mode for file in pki if file.kind == "f"} == {0o600}
        assert is_private(machine, "/etc/kubernetes/pki/ca.crt")


@pytest.mark.cis("4.1.1", "4.1.2", "4.1.3", "4.1.4", "4.1.5", "4.1.6", "4.1.9", "4.1.10")
def test_files_of_an_agent(agent: Seen) -> None:
    assert is_private(agent, "/etc/systemd/system/kubelet.service", "/etc/kubernetes/kubelet.env")
    assert is_private(agent, "/etc/kubernetes/kubelet.kubeconfig", "/etc/kubernetes/kube-proxy.kubeconfig")


@pytest.mark.cis("1.2.16")
def test_the_audit_log(master: Seen) -> None:
    assert master.files["/var/log/kube-apiserver"].mode == 0o700
    assert master.files["/var/log/kube-apiserver/audit.log"].mode == 0o600


@pytest.mark.cis("1.3.7", "1.4.2", "2.1", "4.3.1")
def test_who_listens_on_loopback_only(master: Seen, agent: Seen) -> None:
    on_master = {port: addresses(master, port) for port in (10249, 10251, 10252, 2379, 2380, 5001)}
    assert {port for port, found in on_master.items() if found != {"127.0.0.1"}} == set()
    assert addresses(agent, 10249) == addresses(agent, 10248) == {"127.0.0.1"}


@pytest.mark.cis("4.2.4")
def test_no_read_only_port_and_none_of_2015_s_open_ones(master: Seen, agent: Seen) -> None:
    for machine in (master, agent):
        assert not [port for port in (10255, 8080, 4194, 4001, 7001) if addresses(machine, port)]
    assert addresses(agent, 10250)


def addresses(machine: Seen, port: int) -> set[str]:
    """Where somebody listens on this port."""
    return {found[1] for each in machine.listeners if (found := re.fullmatch(rf"\[?(.+?)\]?:{port}", each))}


@pytest.mark.cis("1.3.2", "1.4.1")
def test_no_profiling(master: Seen) -> None:
    assert master.profiling == {"10249": "404", "10251": "404", "10252": "404"}


def test_the_control_plane_is_not_root(master: Seen) -> None:
    """No row of the benchmark, but why files can be root's alone there and still be of use here."""
    users = {command.split("labkit.components.")[1].split()[0]: user for user, command in master.processes
             if "-m labkit.components." in command}  # fmt: skip
    assert {users[name] for name in ("kube_apiserver", "kube_scheduler", "kube_controller_manager")} == {"kube"}
