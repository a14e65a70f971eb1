"""The host keys of an inventory's hosts: pinned before anything else is said to a host.

    hostKey in the inventory     pinned as it is
    none, and a terminal         the fingerprint is shown and asked about, once (compare it with what the host prints:
                                 ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)
    none, and no terminal        refused, with the line to put into the inventory

A key that has changed is refused ever after; `labkit destroy` forgets it.
"""

import base64
import hashlib
import socket
from collections.abc import Callable

import paramiko

from labkit.cluster import Cluster, Machine
from labkit.provision.errors import CommandFailed, Unreachable
from labkit.provision.existing import inventory
from labkit.provision.known_hosts import KnownHosts

SECONDS = 10.0
Confirm = Callable[[str], bool]


def ensure(cluster: Cluster, confirm: Confirm | None) -> None:
    """Pin what is not pinned yet. confirm: asks the one who sits there; None: nobody does.

    Raises CommandFailed: a key that was not confirmed, Unreachable: a host that does not answer.
    """
    known = KnownHosts(cluster.state / "ssh" / "known_hosts")
    for machine in cluster.machines:
        host = inventory.entry(cluster, machine.name)
        alias, machine_id = cluster.container(machine), f"{host.address}:{host.port}"
        given = " ".join(host.host_key.split()[:2])
        pinned = known.pinned(alias, machine_id)
        if given and pinned and given != pinned:
            raise CommandFailed(machine.name, "checking its host key", tail=f"hostKey is not the one in {known.path}")
        if not pinned:
            known.pin(alias, machine_id, given or _confirmed(machine, host, confirm))


def _confirmed(machine: Machine, host: inventory.Host, confirm: Confirm | None) -> str:
    key = offered(machine, host)
    says = f"{machine.name} ({host.address}) has the host key {fingerprint(key)}"
    if confirm is None:
        raise CommandFailed(machine.name, "checking its host key",
                            tail=f'{says}: if that is right, put into the inventory: "hostKey": "{key}"')  # fmt: skip
    if not confirm(f"{says}: is that right?"):
        raise CommandFailed(machine.name, "checking its host key", tail="it was not confirmed; nothing was changed")
    return key


def offered(machine: Machine, host: inventory.Host) -> str:
    """'ssh-ed25519 AAAA...' as the host offers it now. Raises Unreachable."""
    try:
        with (
            socket.create_connection((host.address, host.port), SECONDS) as link,
            paramiko.Transport(link) as transport,
        ):
            transport.start_client(timeout=SECONDS)
            key = transport.get_remote_server_key()
    except (OSError, EOFError, paramiko.SSHException) as exc:
        why = f"{host.address}:{host.port}: {exc or repr(exc)}: is it on, and does sshd listen there?"
        raise Unreachable(machine.name, "asking for its host key", tail=why) from exc
    return f"{key.get_name()} {key.get_base64()}"


def fingerprint(key: str) -> str:
    """As ssh-keygen -lf prints it: SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU."""
    kind, content = key.split()[:2]
    digest = hashlib.sha256(base64.b64decode(content)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')} ({kind.removeprefix('ssh-').upper()})"
