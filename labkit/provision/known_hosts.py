"""The machines' host keys: trusted when we meet a machine for the first time, the same ever after.

A machine is the one that Vagrant made: when it has been destroyed and made anew, its key is new too, and we know why.
"""

import base64
import threading
from pathlib import Path

import paramiko

from labkit.cluster import write_private
from labkit.provision.errors import Unreachable


class KnownHosts:
    """STATE/ssh/known_hosts: `lab-master ssh-ed25519 AAAA... 0c1f...`; the last word is Vagrant's id of the machine."""

    _lock = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.path = path

    def pinned(self, alias: str, machine_id: str) -> str | None:
        """'ssh-ed25519 AAAA...' of exactly that machine; None when it is new to us."""
        for line in self._lines():
            name, kind, key, owner = [*line.split(), "", "", ""][:4]
            if name == alias and owner == machine_id:
                return f"{kind} {key}"
        return None

    def entry(self, alias: str, machine_id: str, host: str, port: int) -> tuple[str, str, paramiko.PKey]:
        """The pinned key as paramiko's own list of known hosts takes it. Raises Unreachable where none is pinned."""
        pinned = self.pinned(alias, machine_id)
        if pinned is None:
            raise Unreachable(
                alias, "checking its host key", tail="none is known: `labkit up` asks, or hosts.json says"
            )
        kind, key = pinned.split()
        name = host if port == paramiko.config.SSH_PORT else f"[{host}]:{port}"
        return name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key))

    def pin(self, alias: str, machine_id: str, key: str) -> None:
        with self._lock:
            others = [line for line in self._lines() if not line.startswith(f"{alias} ")]
            write_private(self.path, "\n".join([*others, f"{alias} {key} {machine_id}", ""]).encode())

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


class PinOrRefuse(paramiko.MissingHostKeyPolicy):
    """Asked by paramiko for every connection, since it is given no known keys of its own."""

    def __init__(self, known: KnownHosts, alias: str, machine_id: str) -> None:
        self.known, self.alias, self.machine_id = known, alias, machine_id

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        offered = f"{key.get_name()} {key.get_base64()}"
        pinned = self.known.pinned(self.alias, self.machine_id)
        if pinned is None:
            self.known.pin(self.alias, self.machine_id, offered)
        elif pinned != offered:
            raise Unreachable(
                self.alias, "checking its host key", "", None, f"it is not the key that {self.known.path} remembers"
            )
