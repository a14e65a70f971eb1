"""What goes over the wire: the command as another user, the pinned host keys, the line for the system's ssh."""

import shlex
import stat
import subprocess
from pathlib import Path

import paramiko
import pytest

from labkit import cluster as clusters
from labkit.provision import boot
from labkit.provision.errors import CommandFailed, Unreachable
from labkit.provision.known_hosts import KnownHosts
from labkit.provision.ssh import Ssh, as_user


def test_a_command_runs_as_that_user_and_is_ended_on_the_machine_too() -> None:
    words = shlex.split(as_user("echo 'a b' | wc -l", "root", 7))
    assert words[:5] == ["sudo", "-n", "-H", "-u", "root"]
    assert words[5:9] == ["timeout", "-k", "5", "7"]
    assert words[9:] == ["sh", "-c", "echo 'a b' | wc -l"]


def test_a_host_key_belongs_to_one_machine_as_vagrant_knows_it(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "ssh" / "known_hosts")
    assert known.pinned("lab-agent1", "id1") is None
    known.pin("lab-agent1", "id1", "ssh-ed25519 AAAA")
    known.pin("lab-agent2", "id2", "ssh-ed25519 BBBB")
    assert known.pinned("lab-agent1", "id1") == "ssh-ed25519 AAAA"
    assert known.pinned("lab-agent1", "id3") is None
    known.pin("lab-agent1", "id3", "ssh-ed25519 CCCC")
    assert known.pinned("lab-agent1", "id3") == "ssh-ed25519 CCCC"
    assert known.pinned("lab-agent2", "id2") == "ssh-ed25519 BBBB"
    assert len(known.path.read_text().splitlines()) == 2
    assert stat.S_IMODE(known.path.stat().st_mode) == 0o600


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    cluster = clusters.init("lab")
    boot.prepare(cluster)
    return Ssh(cluster, cluster.master)


def test_the_systems_ssh_uses_the_clusters_key_and_the_pinned_host_key(ssh: Ssh) -> None:
    words = ssh.shell_command()
    assert words[-1] == "sudo -n -i -u root"
    assert str(ssh.cluster.state / "ssh" / "id_ed25519") in words
    assert "HostKeyAlias=lab-master" in words
    assert "StrictHostKeyChecking=yes" in words
    assert f"UserKnownHostsFile={ssh.cluster.state / 'ssh' / 'known_hosts'}" in words


def test_a_command_reaches_the_machines_shell_as_it_was_typed(ssh: Ssh) -> None:
    """sshd hands the last word to a shell: what bash then gets is the command, quotes, dollars and all."""
    remote = ssh.shell_command("""for i in 1 2; do echo "$i" 'x y'; done""")[-1]
    local = remote.replace("sudo -n -H -u root ", "")
    done = subprocess.run(["sh", "-c", local], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "1 x y\n2 x y\n"


def test_a_machine_that_does_not_answer_is_named(ssh: Ssh) -> None:
    with pytest.raises(Unreachable, match=r"master: an SSH connection within 0\.1 s failed"):
        ssh.connect(wait=0.1)


def test_an_error_shows_the_machine_the_exit_code_and_the_last_lines_only() -> None:
    error = CommandFailed("agent1", "start kubelet", "systemctl restart kubelet", 1, "\n".join(map(str, range(100))))
    shown = str(error).splitlines()
    assert shown[0] == "agent1: start kubelet failed (exit code 1)"
    assert "  | 99" in shown
    assert "  | 50" not in shown


def test_a_closed_connection_is_never_opened_again(ssh: Ssh) -> None:
    """Ctrl-C closes it under a thread that may be about to run its next command."""
    ssh.close()
    with pytest.raises(Unreachable, match="it was closed"):
        ssh.run("true")


def test_a_machine_that_takes_the_connection_and_is_silent_may_be_suspended(ssh: Ssh) -> None:
    for said in ("Error reading SSH protocol banner", "No existing session"):
        assert "suspended? labkit resume" in ssh._why(paramiko.SSHException(said))
    assert "ConnectTimeout=10" in ssh.shell_command()
