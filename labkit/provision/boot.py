"""What a machine must be told before it has booted: its name, address and peers, the key that opens it, its ports.

All of it is in the cluster's state directory, written by `prepare` and read by the Vagrantfile:

    boot/NAME.conf     LAB_* lines; the machine's /etc/lab/node.conf from its first boot on
    ssh/id_ed25519     the cluster's key (0600); the public half goes into the machines
    ports.json         {"ssh": {"master": 40001, ...}, "apiserver": 40000}, all on 127.0.0.1
"""

import itertools
import socket
import zlib
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from labkit.cluster import Cluster, Machine, names, state_dir, write_private
from labkit.cluster_rules import EXISTING

USER = "vagrant"


class Ports(msgspec.Struct):
    """Ports of 127.0.0.1; once given to a machine they stay."""

    ssh: dict[str, int] = {}
    apiserver: int = 0


def prepare(cluster: Cluster) -> Ports:
    """Write what is missing or out of date; nothing that a machine already relies on changes."""
    ensure_key(cluster)
    for machine in cluster.machines:
        _write_if_new(cluster.state / "boot" / f"{machine.name}.conf", node_conf(cluster, machine).encode())
    return ensure_ports(cluster)


def node_conf(cluster: Cluster, machine: Machine) -> str:
    """The text of /etc/lab/node.conf. sh, systemd and `docker run --env-file` read it, so no quotes and no spaces.

    LAB_PEERS is every machine as NAME=ADDRESS=PODS, this one included.
    """
    peers = [f"{peer.name}={peer.address}={cluster.pod_cidr(peer)}" for peer in cluster.machines]
    facts = {
        "LAB_ADDRESS": machine.address,
        "LAB_DNS": cluster.dns.address,
        "LAB_GATEWAY": cluster.nobody_address,
        "LAB_HOST_ADDRESS": cluster.host_address,
        **({"LAB_MIRROR": cluster.registry.mirror} if cluster.registry.mirror else {}),
        "LAB_MACHINE_NETWORK": cluster.networks.machines,
        "LAB_NAME": machine.name,
        "LAB_PEERS": ",".join(peers),
        **({"LAB_PORTS": ports_of_machines(cluster)} if cluster.provider == EXISTING else {}),
        "LAB_POD_CIDR": cluster.pod_cidr(machine),
        "LAB_POD_NETWORK": cluster.networks.pods,
        "LAB_REGISTRY": f"{cluster.master.address}:{cluster.registry.port}",
        "LAB_ROLES": ",".join(machine.roles),
        "LAB_SERVICE_NETWORK": cluster.networks.services,
    }
    return "".join(f"{name}={value}\n" for name, value in sorted(facts.items()))


def ports_of_machines(cluster: Cluster) -> str:
    """What machines ask each other, for a host whose own firewall drops what it does not know: "53,5000,6443,..."."""
    return f"53,{cluster.registry.port},{cluster.apiserver.port},10250,30000:32767"


def ensure_key(cluster: Cluster) -> None:
    """The cluster's own key pair: Vagrant's well-known one opens nothing here."""
    private = cluster.state / "ssh" / "id_ed25519"
    public = private.with_suffix(".pub")
    if private.exists() and public.exists():
        return
    key = Ed25519PrivateKey.generate()
    encoding = serialization.Encoding
    text = key.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    line = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_private(public, line + f" labkit-{cluster.name}\n".encode())
    write_private(private, text)


def ports(cluster: Cluster) -> Ports:
    """As they are kept; empty before the first `up`. Raises ValueError when the file is damaged."""
    return _read_ports(cluster.state / "ports.json")


def _read_ports(path: Path) -> Ports:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ports)
    except FileNotFoundError:
        return Ports()
    except msgspec.MsgspecError as exc:
        raise ValueError(f"{path}: {exc}; remove the file and the cluster's machines get new ports") from exc


def ensure_ports(cluster: Cluster) -> Ports:
    """Ports for all machines: kept ones stay, new ones are free at this moment, those of removed machines go."""
    kept = ports(cluster)
    missing = [machine.name for machine in cluster.machines if machine.name not in kept.ssh]
    fresh = free_ports(len(missing) + 1, _given_away() | {cluster.apiserver.host_port}, str(cluster.state))
    ssh = kept.ssh | dict(zip(missing, fresh[1:], strict=True))
    wanted = Ports(
        ssh={machine.name: ssh[machine.name] for machine in cluster.machines},
        apiserver=cluster.apiserver.host_port or kept.apiserver or fresh[0],
    )
    _write_if_new(cluster.state / "ports.json", msgspec.json.encode(wanted) + b"\n")
    return wanted


def adopt_ports(cluster: Cluster, published: dict[str, dict[int, int]]) -> None:
    """Write ports.json anew from what the machines' containers were made with, should it have been lost.

    published: machine -> {its port: port of 127.0.0.1}.
    """
    path = cluster.state / "ports.json"
    if path.exists() or not published:
        return
    master = published.get(cluster.master.name, {})
    known = Ports(ssh={name: ports[22] for name, ports in published.items() if 22 in ports},
                  apiserver=master.get(cluster.apiserver.port, 0))  # fmt: skip
    write_private(path, msgspec.json.encode(known))


def free_ports(count: int, avoid: set[int], seed: str) -> list[int]:
    """So many ports of 127.0.0.1 that nobody listens on, below the range that outgoing connections take theirs from.

    The seed says where to begin, so that clusters that start at the same moment look in different places.
    """
    begin = zlib.crc32(seed.encode())
    candidates = (22000 + (begin + step) % 10000 for step in range(10000))
    found = list(itertools.islice((port for port in candidates if port not in avoid and is_free(port)), count))
    if len(found) < count:
        raise LookupError("no free port between 22000 and 31999 on 127.0.0.1")
    return found


def _given_away() -> set[int]:
    """The ports of all clusters on this host, also of those that are down now."""
    everyone = [_read_ports(state_dir(name) / "ports.json") for name in names()]
    return {port for kept in everyone for port in (*kept.ssh.values(), kept.apiserver)}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write_if_new(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_private(path, content)
