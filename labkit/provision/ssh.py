"""One SSH connection per machine, with a bound on everything.

    ssh = Ssh(cluster, machine)
    ssh.connect(wait=60)                                   the machine may still be booting
    ssh.run("systemctl is-active etcd", timeout=5).out     as root; CommandFailed unless it exits 0
    ssh.put(b"...", "/etc/kubernetes/x", mode=0o600)

The machine's host key is trusted when we meet a machine for the first time, that is: once for each machine that Vagrant
made (known_hosts remembers Vagrant's id of it), and must be the same ever after. Only the cluster's key is offered.
A host that was there already (provider ssh) is entered as its inventory says; its key is pinned by existing/trust.py.
"""

import logging
import shlex
import subprocess
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import paramiko

from labkit.cluster import Cluster, Machine
from labkit.cluster_rules import EXISTING
from labkit.provision.channel import Reader, Result
from labkit.provision.errors import KILLED, CommandFailed, TimedOut, Unreachable, with_reason
from labkit.provision.known_hosts import KnownHosts, PinOrRefuse
from labkit.provision.libvirt import patience
from labkit.provision.login import Login, login

CONNECT_SECONDS = 5.0
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its threads' tracebacks: we say what went wrong
ENDED = 124
"""The exit code of `timeout` when the time was up; KILLED when the command did not listen to that."""
SSH_FAILED = 255
"""The exit code of the `ssh` program when there was no connection."""
SILENT = ("protocol banner", "No existing session")
"""How paramiko says that somebody took the connection and did not speak."""


class Ssh:
    """The connection to one machine; opened when first used, opened again when it was lost."""

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        self.cluster = cluster
        self.machine = machine
        self.patience = patience(cluster)
        self._client: paramiko.SSHClient | None = None
        self._closed = False

    @cached_property
    def login(self) -> Login:
        return login(self.cluster, self.machine)

    def __enter__(self) -> "Ssh":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """For good: what runs is cut off, and nothing more can be run."""
        self._closed = True
        self._drop()

    def hang_up(self) -> None:
        """End this connection; the next command opens a new one."""
        self._drop()

    def _drop(self) -> None:
        if self._client:
            self._client.close()
        self._client = None

    def connect(self, wait: float = CONNECT_SECONDS) -> None:
        """Raises Unreachable when the machine does not let us in within `wait` seconds."""
        deadline = time.monotonic() + wait * self.patience
        while not self._is_open():
            if self._closed:
                raise Unreachable(self.machine.name, "an SSH connection", tail="it was closed")
            try:
                self._client = self._open()
            except paramiko.BadHostKeyException as exc:
                why = f"it is not the key that {self._known_hosts().path} remembers"
                raise Unreachable(self.machine.name, "checking its host key", "", None, why) from exc
            except (OSError, EOFError, paramiko.SSHException) as exc:
                if time.monotonic() > deadline:
                    what = f"an SSH connection within {wait:g} s"
                    raise Unreachable(self.machine.name, what, "ssh", None, self._why(exc)) from exc
                time.sleep(0.2)

    def _why(self, exc: Exception) -> str:
        host, port = self.login.host, self.login.port
        if isinstance(exc, paramiko.ssh_exception.NoValidConnectionsError):
            return f"nothing listens on {host}:{port}: is the machine down? labkit up"
        if isinstance(exc, paramiko.SSHException) and any(words in str(exc) for words in SILENT):
            return f"{host}:{port} takes a connection and says nothing: is the machine suspended? labkit resume"
        if isinstance(exc, paramiko.AuthenticationException):
            key = self.login.key or "the keys of the SSH agent and of ~/.ssh"
            return f"{host}:{port} does not let {self.login.user} in with {key}"
        return f"{host}:{port}: {exc or repr(exc)}"

    def _is_open(self) -> bool:
        transport = self._client.get_transport() if self._client else None
        return transport is not None and transport.is_active()

    def _open(self) -> paramiko.SSHClient:
        known, entry = self._known_hosts(), self.login
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(PinOrRefuse(known, self._alias(), entry.machine_id))
        if self.cluster.provider == EXISTING:
            client.get_host_keys().add(*known.entry(self._alias(), entry.machine_id, entry.host, entry.port))
        try:
            client.connect(
                entry.host,
                entry.port,
                username=entry.user,
                key_filename=str(entry.key) if entry.key else None,
                allow_agent=entry.key is None,
                look_for_keys=entry.key is None,
                timeout=CONNECT_SECONDS * self.patience,
                banner_timeout=CONNECT_SECONDS * self.patience,
                auth_timeout=CONNECT_SECONDS * self.patience,
            )
        except BaseException:
            client.close()
            raise
        return client

    def run(
        self,
        command: str,
        timeout: float = 60,
        check: bool = True,
        input: bytes | str | None = None,
        *,
        user: str = "root",
        what: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a shell command on the machine (as root unless `user` says otherwise).

        timeout: seconds, more of them on a machine whose processor is emulated.
        Raises TimedOut after that (the command is ended on the machine as well), CommandFailed when `check` and it
        exits otherwise than 0, or was killed. `on_line` hears each line of stdout as it comes.
        """
        what, timeout = what or command, timeout * self.patience
        self.connect()
        assert self._client
        transport = self._client.get_transport()
        assert transport
        began = time.monotonic()
        try:
            channel = transport.open_session(timeout=CONNECT_SECONDS * self.patience)
            channel.exec_command(as_user(command, user, timeout, self.login.user))
            result = Reader(channel, on_line).finish(input, timeout + 6)
        except TimeoutError as exc:
            raise TimedOut(self.machine.name, what, timeout, command) from exc
        except (OSError, EOFError, paramiko.SSHException) as exc:
            self._drop()
            raise Unreachable(self.machine.name, what, command, None, f"the connection was lost: {exc}") from exc
        said = result.out + result.err
        if result.rc == ENDED or (result.rc == KILLED and time.monotonic() - began >= timeout):
            raise TimedOut(self.machine.name, what, timeout, command, said)
        if check and result.rc:
            raise CommandFailed(self.machine.name, what, command, result.rc, with_reason(said, result.rc))
        return result

    def put(self, content: bytes | Path, remote: str, mode: int = 0o644, owner: str = "root:root") -> None:
        """Write a file on the machine, whole or not at all; parents are made (0755)."""
        data = content.read_bytes() if isinstance(content, Path) else content
        quoted, temporary = shlex.quote(remote), shlex.quote(remote + ".labkit-new")
        self.run(
            f"mkdir -p $(dirname {quoted}) && umask 077 && cat > {temporary} && chown {owner} {temporary}"
            f" && chmod {mode:o} {temporary} && mv {temporary} {quoted}",
            input=data,
            what=f"writing {remote}",
        )

    def shell_command(self, command: str = "", user: str = "root", terminal: bool = False) -> list[str]:
        """The `ssh ...` that opens a terminal on the machine, or runs one command there (in a `terminal` of its own if
        it is one to talk to)."""
        entry = self.login
        options = {
            "HostKeyAlias": self._alias(),
            "UserKnownHostsFile": str(self._known_hosts().path),
            "StrictHostKeyChecking": "yes",
            **({"IdentitiesOnly": "yes", "IdentityAgent": "none"} if entry.key else {}),
            "LogLevel": "ERROR",
            # Also for the machine's greeting: a suspended one has none.
            "ConnectTimeout": f"{2 * CONNECT_SECONDS * self.patience:.0f}",
            "ServerAliveInterval": "10",  # a machine that is silent for half a minute is gone: the terminal says so
        }
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        identity = ["-i", str(entry.key)] if entry.key else []
        sudo = "" if entry.user == user == "root" else f"sudo -n -H -u {user} "
        ran = f"{sudo}bash -c {shlex.quote('cd; ' + command)}"
        login_shell = f"sudo -n -i -u {user}" if sudo else "exec bash -l"
        tty = ["-t"] if terminal or not command else []
        return ["ssh", "-F", "none", *tty, *identity, "-p", str(entry.port), *flags, f"{entry.user}@{entry.host}",
                ran if command else login_shell]  # fmt: skip

    def shell(self, command: str = "", user: str = "root") -> int:
        """Hand this terminal to the machine; the exit code of the shell or the command. Raises Unreachable."""
        if self._known_hosts().pinned(self._alias(), self.login.machine_id) is None:
            self.connect()  # pins it
        rc = subprocess.run(self.shell_command(command, user), check=False).returncode
        if rc == SSH_FAILED:
            self.connect()  # says clearly why, if it still cannot be reached
        return rc

    def _alias(self) -> str:
        return self.cluster.container(self.machine)

    def _known_hosts(self) -> KnownHosts:
        return KnownHosts(self.cluster.state / "ssh" / "known_hosts")


def as_user(command: str, user: str, timeout: float, login_user: str = "") -> str:
    """The command as sshd gets it: as that user, and ended on the machine too when its time is up."""
    sudo = "" if login_user == user == "root" else f"sudo -n -H -u {user} "
    return f"{sudo}timeout -k 5 {timeout:g} sh -c {shlex.quote(command)}"
