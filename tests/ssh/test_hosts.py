"""`make test-ssh`: hosts that somebody already has become a cluster, the lab is played on it, and they are as before.

Root and docker; three containers with Debian, systemd and sshd stand for the hosts (hosts.py). The tests run in this
order and build on each other. After everything that may go wrong the hosts are compared with how they were found:
every file by its hash, packages, accounts, units, firewall, addresses, routes, kernel settings (snapshot.sh).
"""

import difflib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ssh import hosts
from tests.ssh.hosts import School

pytestmark = pytest.mark.timeout(1800)
SNAPSHOT = (Path(__file__).parent / "snapshot.sh").read_text()
NAME = "ssh-test"
CUT = "/run/systemd/system/lab-net.service.d/cut.conf"
"""The host's network step goes wrong: nobody gets in any more."""


class Class:
    """The teacher with a shell, the hosts, and how these were found."""

    def __init__(self, school: School, folder: Path) -> None:
        self.school, self.folder = school, folder
        self.inventory = school.inventory(folder / "hosts.json")
        self.env = os.environ | {"LABKIT_HOME": str(folder / "home"), "LABKIT_CLUSTER": NAME, "COLUMNS": "160"}
        self.env["LABKIT_PATIENCE"] = "3"  # three hosts on one computer, which may have other things to do
        self.found = self.look()

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", *words], env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def labkit(self, *words: str, rc: int = 0, within: float = 900) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=within)
        print(f"$ labkit {' '.join(words)}\n{said}", flush=True)
        assert process.returncode == rc, f"labkit {' '.join(words)} ended with {process.returncode}:\n{said}"
        return said

    def up(self, inventory: Path | None = None, rc: int = 0) -> str:
        return self.labkit("up", "--provider", "ssh", "--inventory", str(inventory or self.inventory), rc=rc)

    def look(self) -> dict[str, list[str]]:
        return {name: self.school.sh(name, SNAPSHOT, timeout=300).splitlines() for name in self.school.hosts}

    def differs(self) -> list[str]:
        """What is not as it was found: 'agent1: +/etc/lab ...'."""
        return [
            f"{name}: {line}"
            for name, now in self.look().items()
            for line in difflib.unified_diff(self.found[name], now, lineterm="", n=0)
            if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    if os.geteuid() or not shutil.which("docker"):
        pytest.skip("needs root and docker")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it, and theirs
    folder = tmp_path_factory.mktemp("ssh")
    hosts.remove()
    try:
        yield Class(hosts.build(folder), folder)
    finally:
        hosts.remove()


# -- refused before the first change -----------------------------------------------------------------------------------


def test_a_host_that_does_not_answer(room: Class) -> None:
    wrong = room.school.inventory(room.folder / "wrong.json", agent2={"address": "172.31.77.99"})
    assert "agent2" in room.up(wrong, rc=3)
    shutil.rmtree(room.folder / "home")


def test_a_host_key_that_nobody_has_confirmed(room: Class) -> None:
    unknown = room.school.inventory(room.folder / "unknown.json", agent1={"hostKey": ""})
    said = room.up(unknown, rc=3)
    assert "SHA256:" in said
    assert '"hostKey": "ssh-ed25519 ' in said.replace("\n", "")
    shutil.rmtree(room.folder / "home")


def test_a_host_that_is_another(room: Class) -> None:
    keys = {
        name: room.school.sh(name, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1] for name in ("master", "agent1")
    }
    swapped = room.school.inventory(
        room.folder / "swapped.json", agent1={"hostKey": f"ssh-ed25519 {keys['master'][:-4]}AAAA"}
    )
    said = room.up(swapped, rc=3)
    assert "not the key" in said or "host key" in said
    shutil.rmtree(room.folder / "home")


def test_what_stands_in_the_way_is_told_for_all_hosts_at_once(room: Class) -> None:
    sh = room.school.sh
    sh("agent1", "tar -c /usr/bin/true | docker import - stranger && docker create --name web stranger /usr/bin/true")
    sh("agent2", "ip address add 10.0.7.7/24 dev lo; mkdir -p /etc/kubernetes; touch /etc/kubernetes/admin.conf")
    try:
        said = " ".join(room.up(rc=3).split())
        assert "agent1 has docker containers that are not ours: web" in said
        assert "agent2 its address 10.0.7.7/24 (lo) lies in networks.services 10.0.0.0/16" in said
        assert "agent2 /etc/kubernetes has something in it" in said
    finally:
        sh("agent1", "docker rm web; docker rmi stranger")
        sh("agent2", "ip address del 10.0.7.7/24 dev lo; rm -r /etc/kubernetes")
    assert room.differs() == [], "and nothing was changed anywhere"


# -- cut off half-way --------------------------------------------------------------------------------------------------


def test_a_network_step_that_locks_us_out_is_undone_by_the_host(room: Class) -> None:
    block = "/usr/sbin/iptables -w -I LAB-INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP"
    room.school.sh(
        "agent2",
        f"mkdir -p {Path(CUT).parent}; printf '[Service]\\nExecStartPost={block}\\n' >{CUT}; systemctl daemon-reload",
    )
    said = room.up(rc=3)
    assert "agent2: the network step failed" in said
    assert "the host has undone it" in " ".join(said.replace("|", "").split())
    assert "LAB-" not in room.school.sh("agent2", "iptables -S; ip link show")
    room.school.sh("agent2", f"rm {CUT}; rmdir {Path(CUT).parent}; systemctl daemon-reload")


def test_destroy_after_a_failure_brings_everything_back(room: Class) -> None:
    room.labkit("destroy", "--yes")
    assert room.differs() == []


def test_ctrl_c_half_way_then_destroy(room: Class) -> None:
    interrupt(room, "install the components' dependencies")
    room.labkit("destroy", "--yes")
    assert room.differs() == []


def interrupt(room: Class, step: str, seconds: float = 300) -> None:
    """Ctrl-C as soon as some host is past that step."""
    process = room.start("up", "--provider", "ssh", "--inventory", str(room.inventory))
    assert process.stdout
    deadline = time.monotonic() + seconds
    for line in process.stdout:
        assert time.monotonic() < deadline
        if step in line:
            process.send_signal(signal.SIGINT)
            break
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "interrupted" in said


def test_ctrl_c_half_way_then_up_goes_on(room: Class) -> None:
    interrupt(room, "look at it")
    assert "nodes Ready: agent1, agent2" in room.up()


# -- a cluster as any other --------------------------------------------------------------------------------------------


def test_a_second_up_finds_nothing_to_do(room: Class) -> None:
    assert "nothing to do" in room.labkit("up")


def test_the_hosts_keep_what_they_need(room: Class) -> None:
    sh = room.school.sh
    for name in room.school.hosts:
        assert "nameserver" in sh(name, "cat /etc/resolv.conf")
        assert "10.0.0.10" not in sh(name, "cat /etc/resolv.conf"), "its own resolver"
        assert "printer.school" in sh(name, "cat /etc/hosts")
        assert "by hand" in sh(name, "iptables -S INPUT")
        assert "-P FORWARD ACCEPT" in sh(name, "iptables -S FORWARD")
        assert sh(name, "ls /home").split() == ["teacher"], "no account of ours to log in with"
    settings = json.loads(sh("agent1", "cat /etc/docker/daemon.json"))
    assert settings["debug"] is True, "the host's own settings go on"


def test_an_address_of_no_service_is_refused_and_never_leaves(room: Class) -> None:
    probe = "timeout 5 bash -c '</dev/tcp/10.0.77.77/80' 2>&1; true"
    assert "refused" in room.school.sh("agent1", probe)
    room.school.sh("agent1", "iptables -w -I OUTPUT 1 -d 10.0.77.77 -j ACCEPT")  # even past our rules
    try:
        assert "dev labkit0" in room.school.sh("agent1", "ip route get 10.0.77.77")
    finally:
        room.school.sh("agent1", "iptables -w -D OUTPUT -d 10.0.77.77 -j ACCEPT")


def test_status_ssh_logs_push(room: Class) -> None:
    assert "all is well" in room.labkit("status")
    assert room.labkit("ssh", "agent1", "hostname").strip().endswith("agent1")
    assert "kubelet" in room.labkit("logs", "kubelet", "-m", "agent1")
    room.labkit("push", "kube-proxy")


def test_the_lab_is_played(room: Class) -> None:
    room.labkit("lab", "redis-master", "--play")


def test_down_and_up(room: Class) -> None:
    room.labkit("down")
    assert "LAB-NET" not in room.school.sh("agent1", "iptables -S OUTPUT")
    assert "nodes Ready: agent1, agent2" in room.labkit("up")


def test_an_agent_leaves_and_comes_back(room: Class) -> None:
    room.labkit("agent", "remove", "agent2")
    assert [line for line in room.differs() if line.startswith("agent2:")] == []
    said = room.labkit("agent", "add", "--inventory", str(room.inventory))
    assert "nodes Ready: agent1, agent2" in said


def test_destroy_leaves_the_hosts_as_they_were_found_and_somebody_elses_changes_too(room: Class) -> None:
    room.school.sh("agent1", "echo welcome >/etc/motd.school; useradd --create-home pupil")
    room.labkit("up")
    room.labkit("destroy", "--yes")
    left = room.differs()
    assert left
    assert [
        line for line in left if "motd.school" not in line and "pupil" not in line and not is_account_file(line)
    ] == []
    assert not (room.folder / "home" / NAME).exists()


def is_account_file(line: str) -> bool:
    """A user more changes these, and their copies."""
    return any(f" /etc/{name}" in line for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"))
