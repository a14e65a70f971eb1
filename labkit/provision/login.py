"""How a machine is entered: where its sshd is, as whom, with which key, and under which name its host key is pinned."""

from dataclasses import dataclass
from pathlib import Path

from labkit.cluster import Cluster, Machine
from labkit.cluster_rules import EXISTING
from labkit.provision.existing import inventory
from labkit.provision.vagrant import endpoint

USER = "vagrant"


@dataclass(frozen=True)
class Login:
    """key: a private key's file; none: the SSH agent's keys, or those in ~/.ssh.

    machine_id: whose host key it is: a machine that was made anew has another.
    """

    host: str
    port: int
    user: str
    key: Path | None
    machine_id: str


def login(cluster: Cluster, machine: Machine) -> Login:
    """Raises CommandFailed before the first `up`, ClusterError where a host is not in the inventory."""
    if cluster.provider == EXISTING:
        host = inventory.entry(cluster, machine.name)
        return Login(host.address, host.port, host.user, host.identity, f"{host.address}:{host.port}")
    identity = cluster.state / "vagrant" / "machines" / machine.name / cluster.provider / "id"
    machine_id = identity.read_text().strip() if identity.exists() else "unknown"
    return Login(*endpoint(cluster, machine), USER, cluster.state / "ssh" / "id_ed25519", machine_id)
