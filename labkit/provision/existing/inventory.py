"""hosts.json: the hosts of a cluster, a name and an entry each.

    {
      "master": {"address": "192.168.1.20", "roles": ["master"]},
      "agent1": {"address": "192.168.1.21", "user": "ubuntu", "identityFile": "~/.ssh/class"},
      "agent2": {"address": "192.168.1.22", "port": 2222, "hostKey": "ssh-ed25519 AAAAC3Nza..."}
    }

`labkit up` keeps a copy in the cluster's state directory, so that the file is needed once.

Errors: ClusterError. It names the file, and for each fault the entry, the field and what was expected there.
"""

import getpass
import ipaddress
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from labkit import cluster as clusters
from labkit.cluster import Cluster, ClusterError, Machine, write_private
from labkit.cluster_rules import MACHINE_NAME, ROLES

KEPT = "inventory.json"
IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Where no identityFile is given: the first of these in ~/.ssh, or a key of the SSH agent."""
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]{60,}={0,3}( .*)?")
LONGEST_PREFIX = 28


class Host(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """address: IPv4, the same for this computer and for the other hosts; host_key: a line of its
    /etc/ssh/ssh_host_*_key.pub, or nothing: then it is shown and asked about once."""

    address: str
    roles: list[str] = msgspec.field(default_factory=lambda: ["agent"])
    port: int = 22
    user: str = msgspec.field(default_factory=getpass.getuser)
    identity_file: str = ""
    host_key: str = ""

    @property
    def identity(self) -> Path | None:
        return Path(self.identity_file).expanduser() if self.identity_file else None


Inventory = dict[str, Host]


def read(path: Path) -> Inventory:
    """Decode and check one file. Raises ClusterError with every fault."""
    try:
        entries = msgspec.json.decode(path.read_bytes())
    except OSError as exc:
        raise ClusterError(path, [f"cannot be read: {exc.strerror}"]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ClusterError(path, [f"{exc}; expected JSON: {{NAME: {{address: ...}}, ...}}"]) from exc
    if not isinstance(entries, dict):
        raise ClusterError(path, ['the whole file: expected an object {"master": {"address": ...}, ...}'])
    found: Inventory = {}
    faults: list[str] = []
    for name, entry in entries.items():
        try:
            found[name] = msgspec.convert(entry, Host)
        except msgspec.ValidationError as exc:
            faults.append(_by_field(name, str(exc)))
    faults += validate(found)
    if faults:
        raise ClusterError(path, faults)
    return {name: _absolute(host) for name, host in found.items()}


def _by_field(name: str, message: str) -> str:
    """msgspec's 'Expected `int`, got `str` - at `$.port`' as `agent1.port: Expected ...`."""
    what, _, path = message.partition(" - at ")
    return f"{name}{path.strip('`').removeprefix('$')}: {what}"


def _absolute(host: Host) -> Host:
    """`~` and a relative path mean where labkit was first called, not where it is called next."""
    if host.identity:
        host.identity_file = str(host.identity.absolute())
    return host


def validate(inventory: Inventory) -> list[str]:
    """Every fault, `NAME.field: what is there, what was expected`; empty when there is none."""
    found = [fault for name, host in inventory.items() for fault in _faults(name, host)]
    masters = [name for name, host in inventory.items() if "master" in host.roles]
    if len(masters) != 1:
        found.append(f"roles: {', '.join(masters) or 'no host'} has the role master, expected exactly one host")
    owner: dict[str, str] = {}
    for name, host in inventory.items():
        if host.address in owner:
            found.append(f"{name}.address: {host.address} is {owner[host.address]}'s, expected one of its own")
        owner.setdefault(host.address, name)
    return found


def _faults(name: str, host: Host) -> Iterator[str]:
    if not MACHINE_NAME.fullmatch(name):
        yield f"{name}: the name of a host: expected a letter, then a-z, 0-9 and '-', at most 32 in all"
    if not _is_host_address(host.address):
        yield f"{name}.address: {host.address!r}, expected the IPv4 address by which the other hosts reach it"
    if not host.roles or set(host.roles) - set(ROLES) or len(set(host.roles)) < len(host.roles):
        yield f"{name}.roles: {host.roles}, expected some of {', '.join(ROLES)}, each at most once"
    if not 1 <= host.port <= 65535:
        yield f"{name}.port: {host.port}, expected 1 to 65535"
    if not USER.fullmatch(host.user):
        yield f"{name}.user: {host.user!r}, expected the name of a user of that host"
    if host.identity and not host.identity.is_file():
        yield f"{name}.identityFile: {host.identity_file!r}, expected a private key's file on this computer"
    if host.host_key and not HOST_KEY.fullmatch(host.host_key):
        yield f"{name}.hostKey: {host.host_key[:40]!r}, expected a line of the host's /etc/ssh/ssh_host_ed25519_key.pub"


def _is_host_address(address: str) -> bool:
    try:
        ip = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local)


# -- the cluster that these hosts are ----------------------------------------------------------------------------------


def adopt(cluster: Cluster, inventory: Inventory) -> Cluster:
    """The cluster with exactly these hosts as its machines, and the inventory kept. Raises ClusterError.

    A host that was a machine already keeps its pod subnet, a new one gets the next.
    """
    path = cluster.state / "cluster.json"
    if cluster.provider != "ssh":
        raise ClusterError(path, [f"provider: is {cluster.provider}, an inventory is for the provider ssh"])
    known = {machine.name: machine for machine in cluster.machines} if (cluster.state / KEPT).exists() else {}
    if moved := [name for name, host in inventory.items() if name in known and known[name].address != host.address]:
        what = f"{', '.join(moved)}: another address than before: `labkit destroy --cluster {cluster.name}` first"
        raise ClusterError(path, [what])
    if gone := sorted(set(known) - set(inventory)):
        what = f"{', '.join(gone)}: missing in the inventory, but part of the cluster: `labkit agent remove` first"
        raise ClusterError(path, [what])
    if not known:
        cluster.next_pod_subnet = 1
    machines = []
    for name, host in inventory.items():
        machine = known.get(name) or _machine(cluster, name, host)
        machine.roles = host.roles
        machines.append(machine)
    cluster.machines = sorted(machines, key=lambda each: not each.is_master)
    cluster.networks.machines = covering([host.address for host in inventory.values()])
    clusters.save(cluster)
    keep(cluster, inventory)
    return cluster


def _machine(cluster: Cluster, name: str, host: Host) -> Machine:
    machine = Machine(name=name, roles=host.roles, address=host.address, pod_subnet=cluster.next_pod_subnet)
    cluster.next_pod_subnet += 1
    return machine


def covering(addresses: list[str]) -> str:
    """The smallest range in which all of them lie, a /28 at least: ["10.1.0.5", "10.1.0.9"] -> "10.1.0.0/28"."""
    network = ipaddress.ip_network(f"{addresses[0]}/{LONGEST_PREFIX}", strict=False)
    while not all(ipaddress.ip_address(address) in network for address in addresses):
        network = network.supernet()
    return str(network)


def keep(cluster: Cluster, inventory: Inventory) -> None:
    write_private(cluster.state / KEPT, msgspec.json.format(msgspec.json.encode(inventory), indent=2) + b"\n")


def kept(cluster: Cluster) -> Inventory:
    """What `adopt` kept. Raises ClusterError where it never did."""
    path = cluster.state / KEPT
    try:
        return msgspec.json.decode(path.read_bytes(), type=Inventory)
    except FileNotFoundError:
        what = "missing: `labkit up --provider ssh --inventory hosts.json` says which hosts (docs/ssh.md)"
        raise ClusterError(path, [what]) from None
    except msgspec.MsgspecError as exc:
        raise ClusterError(path, [f"damaged: {exc}; give --inventory again"]) from exc


def entry(cluster: Cluster, name: str) -> Host:
    """One host of it. Raises ClusterError."""
    found = kept(cluster)
    if name not in found:
        path = cluster.state / KEPT
        raise ClusterError(path, [f"{name}: no such host, but cluster.json has it: give --inventory again"])
    return found[name]


def identity(cluster: Cluster) -> str:
    """ "NAME TOKEN": what is written on every host of this cluster, so that no other takes it."""
    path = cluster.state / "identity"
    if not path.exists():
        write_private(path, f"{secrets.token_hex(8)}\n".encode())
    return f"{cluster.name} {path.read_text().strip()}"
