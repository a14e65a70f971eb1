"""cluster.json: which machines there are, what they are for, and the ranges that their addresses come from.

The repository's cluster.json is only the default. Each cluster has a state directory of its own with its own copy,
written by `init` and read by everything else, the Vagrantfile included:

    $LABKIT_HOME | $XDG_STATE_HOME/labkit | ~/.local/state/labkit      0700
      lab/                                                             0700
        cluster.json    the machine database                           0600
        ports.json      ports of 127.0.0.1 that lead to the machines   (provision/boot.py)
        ssh/            the key that opens the machines                 (provision/boot.py)
        vagrant/        what Vagrant remembers

Errors: ClusterError. It names the file, and for each fault the field and what was expected there.
"""

import ipaddress
import os
import re
import tempfile
from pathlib import Path

import msgspec

from labkit.cluster_rules import EXISTING, VIRTUAL, validate

REPOSITORY = Path(__file__).resolve().parent.parent
"""Where the package labkit/ lies; in a checkout, the whole repository."""
_SHIPPED = Path(__file__).resolve().parent / "shipped"
SHARE = _SHIPPED if _SHIPPED.is_dir() else REPOSITORY
"""Where labs/, walkthroughs/, examples/, Vagrantfile and cluster.json are: beside the package, in a wheel inside it."""
FIRST_HOST = 11
"""The master of a fresh cluster is number 11 of its range, agent1 number 12, and so on."""


CONTAINERS, MACHINES = (2048, 1024), (1024, 768)
"""MB for the master and for an agent: what a container may use at most, and what a virtual machine takes for itself.
Three of those leave a host of 4 GB a third of its memory."""


class ClusterError(Exception):
    """A cluster.json that cannot be used. `faults` are lines like `machines[1].address: 10.9.9.9 is not in ...`."""

    exit_code = 2

    def __init__(self, path: Path, faults: list[str]) -> None:
        self.path = path
        self.faults = faults
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))


class _Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """JSON names are camelCase as everywhere in Kubernetes; an unknown field is a typing error, so it is refused."""


class Networks(_Record, kw_only=True):
    """Three ranges (CIDR) that must not overlap."""

    machines: str
    pods: str
    services: str


class Dns(_Record, kw_only=True):
    address: str
    domain: str = "cluster.local"
    forwarders: list[str] = []


class ApiServer(_Record, kw_only=True):
    port: int = 6443
    host_port: int = 0
    """The port of 127.0.0.1 that leads to kube-apiserver; 0: a free one is found at the first `up` and kept."""


class Registry(_Record, kw_only=True):
    port: int = 5000
    mirror: str = ""
    """Where machines get public images that the master's registry lacks: `http://host.lab:5001`, on their network."""


class Mirrors(_Record, kw_only=True):
    """Where this computer fetches packages, URLs; empty: where it does without labkit. (provision/mirrors.py)"""

    debian: str = ""
    """A Debian archive, `http://mirror.example/debian`: packages of the machines' image, box and virtual machines."""
    pypi: str = ""
    """A Python index, `https://pypi.example/simple`: the wheels of the machines and of a bundle."""


class Machine(_Record, kw_only=True):
    """One machine. `pod_subnet` N is the Nth /24 of the pods range; the machine keeps it for ever."""

    name: str
    roles: list[str]
    address: str
    pod_subnet: int
    memory_mb: int = msgspec.field(name="memoryMB", default=1024)
    cpus: int = 1

    @property
    def is_master(self) -> bool:
        return "master" in self.roles

    @property
    def is_agent(self) -> bool:
        return "agent" in self.roles


class Cluster(_Record, kw_only=True):
    name: str
    provider: str = "docker"
    timing: str = "classroom"
    storage: str = ""
    """glusterfs: a file system over the first three machines; nothing: none."""
    proxy_mode: str = "userspace"
    profile: str = "classroom"
    """`historic` opens on the machines' network what was open in 2015 and harms nobody: the kubelets' port 10255."""
    networks: Networks
    dns: Dns
    apiserver: ApiServer = msgspec.field(default_factory=ApiServer)
    registry: Registry = msgspec.field(default_factory=Registry)
    mirrors: Mirrors = msgspec.field(default_factory=Mirrors)
    next_pod_subnet: int
    """The number that the next new machine gets. It only grows: a number is never given to a second machine."""
    machines: list[Machine]

    @property
    def master(self) -> Machine:
        return next(machine for machine in self.machines if machine.is_master)

    @property
    def agents(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.is_agent]

    @property
    def storage_servers(self) -> list[Machine]:
        """Who keeps a copy of each volume; nobody where there is no storage."""
        ordered = sorted(self.machines, key=lambda machine: not machine.is_master)
        return ordered[:3] if self.storage else []

    def machine(self, name: str) -> Machine:
        """Raises KeyError with the names that exist."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(f"no machine {name!r} in cluster {self.name}: it has {', '.join(m.name for m in self.machines)}")

    def pod_cidr(self, machine: Machine) -> str:
        """'10.244.2.0/24' for the machine with pod subnet 2."""
        pods = ipaddress.ip_network(self.networks.pods)
        return f"{pods.network_address + machine.pod_subnet * 256}/24"

    @property
    def host_address(self) -> str:
        """The host's own address on the machines' network: the first of the range."""
        return str(ipaddress.ip_network(self.networks.machines)[1])

    @property
    def nobody_address(self) -> str:
        """The machines' default gateway, which no machine has: what is sent there is lost, on purpose."""
        return str(ipaddress.ip_network(self.networks.machines)[-3])

    @property
    def network(self) -> str:
        """The docker network, and the prefix of libvirt's."""
        return f"{self.name}-net"

    @property
    def bridge(self) -> str:
        return f"br-{self.name}"

    @property
    def label(self) -> str:
        """What every container, network and volume of the cluster is labelled with."""
        return f"labkit.cluster={self.name}"

    def container(self, machine: Machine) -> str:
        return f"{self.name}-{machine.name}"

    @property
    def state(self) -> Path:
        return state_dir(self.name)


def find(file_name: str) -> Path:
    """A file by its path in the repository, wherever this installation has it; it may not exist."""
    return (REPOSITORY if file_name.startswith("labkit/") else SHARE) / file_name


def state_root() -> Path:
    if home := os.environ.get("LABKIT_HOME"):
        return Path(home)
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "labkit"
    return Path.home() / ".local" / "state" / "labkit"


def state_dir(name: str) -> Path:
    """Where the cluster's files are. It may not exist yet; `save` makes it."""
    return state_root() / name


def names() -> list[str]:
    """The clusters that exist on this host."""
    return sorted(path.parent.name for path in state_root().glob("*/cluster.json"))


def load(name: str) -> Cluster:
    """The cluster from its state directory. Raises ClusterError, also when there is none of that name."""
    path = state_dir(name) / "cluster.json"
    if not path.exists():
        raise ClusterError(path, [f"there is no cluster {name!r}: `labkit init --cluster {name}` makes one"])
    cluster = read(path)
    if cluster.name != name:
        raise ClusterError(path, [f"name: is {cluster.name!r}, expected {name!r}, the name of its state directory"])
    return cluster


def read(path: Path) -> Cluster:
    """Decode and validate one file. Raises ClusterError."""
    try:
        text = path.read_bytes()
        cluster = msgspec.json.decode(text, type=Cluster)
    except OSError as exc:
        raise ClusterError(path, [f"cannot be read: {exc.strerror}"]) from exc
    except msgspec.ValidationError as exc:
        raise ClusterError(path, [_by_field(str(exc), text)]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ClusterError(path, [_by_line(str(exc), text)]) from exc
    if faults := validate(cluster):
        raise ClusterError(path, faults)
    return cluster


def save(cluster: Cluster) -> Path:
    """Write the cluster's file (whole or not at all) and return its path. Raises ClusterError when it is not valid."""
    path = state_dir(cluster.name) / "cluster.json"
    if faults := validate(cluster):
        raise ClusterError(path, faults)
    write_private(path, msgspec.json.format(msgspec.json.encode(cluster), indent=2) + b"\n")
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read (0600, directories 0700); nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def init(
    name: str,
    agents: int | None = None,
    *,
    provider: str | None = None,
    timing: str | None = None,
    storage: str | None = None,
    proxy_mode: str | None = None,
    profile: str | None = None,
    machines: str | None = None,
) -> Cluster:
    """Make the cluster, or change the one that exists, and save it.

    agents: how many machines that are agents and nothing else (default: as it is; 2 in a new cluster).
    machines: the machines' range, for a new cluster only (default: the first free 10.245.N.0/24).
    Machines that stay keep their name, address and pod subnet. Raises ClusterError.
    """
    if (state_dir(name) / "cluster.json").exists():
        cluster = load(name)
        if machines not in (None, cluster.networks.machines):
            raise ClusterError(
                state_dir(name) / "cluster.json",
                [
                    f"networks.machines: is {cluster.networks.machines} and cannot change while the cluster exists: "
                    f"`labkit destroy --cluster {name}` first"
                ],
            )
    else:
        cluster = fresh(name, machines or free_range([load(other).networks.machines for other in names()]))
    if provider:
        _change_provider(cluster, provider)
    cluster.timing = timing or cluster.timing
    cluster.storage = cluster.storage if storage is None else storage
    cluster.proxy_mode = proxy_mode or cluster.proxy_mode
    cluster.profile = profile or cluster.profile
    if agents is not None and cluster.provider == EXISTING:
        fault = "machines: hosts that are there already (ssh) come from an inventory: `labkit agent add --inventory`"
        raise ClusterError(state_dir(name) / "cluster.json", [fault])
    if agents is not None:
        resize(cluster, agents)
    save(cluster)
    return cluster


def _change_provider(cluster: Cluster, provider: str) -> None:
    """Sizes that nobody has chosen become those of the other kind. Raises ClusterError when there are machines."""
    made = [*(cluster.state / "vagrant" / "machines").glob("*/*/*"), *cluster.state.glob("inventory.json")]
    if provider != cluster.provider and made:
        fault = f"provider: is {cluster.provider} and cannot become {provider} while its machines exist: "
        raise ClusterError(cluster.state / "cluster.json", [f"{fault}`labkit destroy --cluster {cluster.name}` first"])
    before, after = _sizes(cluster.provider), _sizes(provider)
    for machine in cluster.machines:
        kind = 0 if machine.is_master else 1
        if machine.memory_mb == before[kind]:
            machine.memory_mb = after[kind]
    cluster.provider = provider


def _sizes(provider: str) -> tuple[int, int]:
    return MACHINES if provider in VIRTUAL else CONTAINERS


def fresh(name: str, machines: str) -> Cluster:
    """The repository's cluster under another name and in another range."""
    cluster = read(SHARE / "cluster.json")
    cluster.name = name
    cluster.networks.machines = machines
    try:
        hosts = ipaddress.ip_network(machines)
        for number, machine in enumerate(cluster.machines, FIRST_HOST):
            machine.address = str(hosts[number])
    except (ValueError, IndexError) as exc:
        raise ClusterError(state_dir(name) / "cluster.json", [f"networks.machines: {machines!r}: {exc}"]) from exc
    return cluster


def free_range(taken: list[str]) -> str:
    """The first 10.245.N.0/24 that overlaps none of the taken ranges. Raises LookupError when none is left."""
    others = [ipaddress.ip_network(cidr) for cidr in taken]
    for number in range(1, 255):
        candidate = ipaddress.ip_network(f"10.245.{number}.0/24")
        if not any(candidate.overlaps(other) for other in others):
            return str(candidate)
    raise LookupError("every range 10.245.1.0/24 to 10.245.254.0/24 belongs to a cluster: destroy one, or give a range")


def resize(cluster: Cluster, agents: int) -> None:
    """Add agents at the end, or take them away from there, until there are so many."""
    only_agents = [machine for machine in cluster.machines if machine.roles == ["agent"]]
    for machine in only_agents[max(agents, 0) :]:
        cluster.machines.remove(machine)
    for _ in range(agents - len(only_agents)):
        cluster.machines.append(_next_agent(cluster))


def _next_agent(cluster: Cluster) -> Machine:
    numbers = [int(found[1]) for m in cluster.machines if (found := re.fullmatch(r"agent(\d+)", m.name))]
    taken = {machine.address for machine in cluster.machines} | {cluster.nobody_address}
    hosts = list(ipaddress.ip_network(cluster.networks.machines).hosts())
    free = [str(host) for host in hosts[FIRST_HOST - 1 :] if str(host) not in taken]
    if not free:
        raise ClusterError(
            state_dir(cluster.name) / "cluster.json",
            [f"networks.machines: {cluster.networks.machines} has no address left for another agent"],
        )
    machine = Machine(
        name=f"agent{max(numbers, default=0) + 1}", roles=["agent"], address=free[0],
        pod_subnet=cluster.next_pod_subnet, memory_mb=_sizes(cluster.provider)[1],
    )  # fmt: skip
    cluster.next_pod_subnet += 1
    return machine


def _by_field(message: str, text: bytes) -> str:
    """msgspec's 'Expected `int`, got `str` - at `$.machines[...].podSubnet`' with the path in front, and its number."""
    what, _, path = message.partition(" - at ")
    field = path.strip("`").removeprefix("$").lstrip(".") or "the whole file"
    if field.startswith("machines[...]"):
        field = field.replace("...", str(_first_bad_machine(text)), 1)
    return f"{field}: {what}"


def _first_bad_machine(text: bytes) -> int:
    """msgspec does not say which element of a list it was."""
    for index, machine in enumerate(msgspec.json.decode(text)["machines"]):
        try:
            msgspec.convert(machine, Machine)
        except msgspec.ValidationError:
            return index
    return 0


def _by_line(message: str, text: bytes) -> str:
    """msgspec's 'JSON is malformed: invalid character (byte 12)' as 'line 2, column 5: ...'."""
    found = re.search(r"\(byte (\d+)\)", message)
    offset = min(int(found[1]), len(text)) if found else len(text)
    before = text[:offset]
    line, column = before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1
    return f"line {line}, column {column}: {re.sub(r' *.byte [0-9]+.$', '', message)}; expected JSON"
