"""What the kubelet asks of a container runtime: the seam between pods and docker.

A pod is a group of containers around one that does nothing: the *pause* container holds the pod's IP address and IPC
namespace, and the others join it. Everything the kubelet knows of a container it wrote on the container itself, name
and labels, so a kubelet that was restarted recognises what runs:

    k8s_redis.472a4b9f_redis-master-x7f2k_default_46808703-e65f-11f1-9015-a6741066c382_19c7a0e3
        |     |            |                 |       |                                    random
        |     |            pod               |       the pod's uid
        |     hash of its spec               namespace
        container (POD is the pause container)

`Docker` (docker.py) is the real runtime, `FakeRuntime` (fake.py) its twin; both pass the same contract tests.

    RuntimeFailure                what docker said, "API error (500): ..."
    ├── RuntimeUnavailable        nobody answers: docker is down or restarting
    ├── NoSuchContainer
    └── NoSuchImage
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.credentials import Credentials
from labkit.components.kubelet.process import Process, Wanted

PAUSE = "POD"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# The labels of a container. The first is all that Kubernetes 0.18 wrote (namespace/name), most others came with later
# versions; the node's lets two kubelets share one docker, each seeing only its own containers.
POD = "io.kubernetes.pod.name"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER = "io.kubernetes.container.name"
HASH = "io.kubernetes.container.hash"
ATTEMPT = "io.kubernetes.container.restartCount"
MESSAGE_FILE = "io.kubernetes.container.terminationMessagePath"
GRACE = "io.kubernetes.pod.terminationGracePeriod"
NODE = "io.kubernetes.node"
BACKOFF = "io.labkit.container.backoff"


class RuntimeFailure(Exception):
    """The runtime refused, in its own words."""


class RuntimeUnavailable(RuntimeFailure):
    pass


class NoSuchContainer(RuntimeFailure):
    pass


class NoSuchImage(RuntimeFailure):
    pass


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the runtime shows it. Times are seconds since 1970, 0 for never.

    state: created (never ran; `error` says why when its start failed), running, exited.
    attempt: how often this container of the pod was started before. backoff: seconds to wait after its death.
    ip: the pod's address, known by the pause container. message: what it left in its termination message file.
    pid: of its first process, while it runs. cgroup_parent: the control group around its own, "" for the runtime's.
    pids_limit: 0 for none. crowded: at some time it had as many processes and threads as that, and got no more.
    """

    id: str
    name: str
    pod: str
    pod_uid: str
    state: str
    hash: str = ""
    attempt: int = 0
    backoff: float = 0.0
    grace: int = 30
    image: str = ""
    image_id: str = ""
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    ip: str = ""
    message: str = ""
    pid: int = 0
    cgroup_parent: str = ""
    pids_limit: int = 0
    crowded: bool = False

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def look(self) -> tuple[str, str, bool]:
        """What makes its pod's worker look again when it changes."""
        return (self.id, self.state, self.crowded)

    @property
    def died(self) -> bool:
        """It ran and ended, or could not be started; a container that was only created did neither."""
        return self.state == "exited" or bool(self.error)


@dataclass(frozen=True)
class Resolver:
    """The content of a pod's resolv.conf."""

    nameservers: tuple[str, ...]
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class PortMapping:
    container_port: int
    host_port: int
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True)
class Mount:
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Resources:
    """memory and disk in bytes, cpu in thousandths of a core, pids: processes and threads; 0 for no bound.

    disk: what it may write outside its volumes."""

    memory: int = 0
    cpu_limit: int = 0
    cpu_request: int = 0
    pids: int = 0
    disk: int = 0


@dataclass(frozen=True)
class ContainerConfig:
    """A container to be made.

    network, ipc, pid: "" for an own namespace, "host", or the id of the container whose it joins. hostname, resolver
    and ports go with an own network: docker refuses them on a container that joins another's and copies the other's.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    ipc: str = ""
    pid: str = ""
    hostname: str = ""
    resolver: Resolver | None = None
    ports: tuple[PortMapping, ...] = ()
    resources: Resources = field(default_factory=Resources)
    privileged: bool = False
    capabilities_added: tuple[str, ...] = ()
    capabilities_dropped: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False


@dataclass(frozen=True)
class ContainerEvent:
    """Something happened to a container: start, die, destroy or oom. "connected": events may have been missed."""

    what: str
    container_id: str = ""
    pod_uid: str = ""


@dataclass(frozen=True)
class LogOptions:
    """tail: number of lines from the end, None for all. since: seconds since 1970."""

    follow: bool = False
    tail: int | None = None
    since: float = 0.0
    timestamps: bool = False


@dataclass(frozen=True)
class Image:
    """size in bytes, shared layers counted with each."""

    id: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Disk:
    """Bytes."""

    capacity: int
    available: int

    @property
    def used(self) -> int:
        return self.capacity - self.available

    @property
    def used_percent(self) -> int:
        return 100 * self.used // self.capacity if self.capacity else 0


@dataclass(frozen=True)
class ExecResult:
    exit_code: int
    output: str


class Measured(NamedTuple):
    container: Container
    counters: Counters


@dataclass(frozen=True)
class Sample:
    """What was used up to a `time` (seconds since 1970): by the machine, and by each container that runs, by id."""

    time: float
    machine: Counters
    containers: Mapping[str, Measured] = field(default_factory=dict)


class Runtime(Protocol):
    """Every method raises RuntimeFailure or one of its kinds, and is bounded in time."""

    async def version(self) -> str:
        """`docker://20.10.24`; answers only when the runtime works."""

    async def containers(self, pod_uid: str = "") -> list[Container]:
        """The containers of this node (of one pod of it), dead ones too, oldest first."""

    async def image(self, name: str) -> str:
        """The id of a present image; NoSuchImage when it is not here."""

    async def pull(self, name: str, login: Credentials | None = None) -> None: ...

    async def images(self) -> list[Image]: ...

    async def remove_image(self, image_id: str) -> None:
        """With all its names; RuntimeFailure while a container has it, one that is gone is no error."""

    async def disk(self) -> Disk:
        """Where images and containers are."""

    async def written(self) -> dict[str, int]:
        """Bytes that each running container has written outside its volumes, by id."""

    async def create(self, config: ContainerConfig) -> str:
        """Make a container and give its id; NoSuchImage when the image is not here."""

    async def start(self, container_id: str) -> None: ...

    async def signal(self, container_id: str, signal: str) -> None:
        """Send SIGTERM (or what the image wants in its place) or SIGKILL; a container that has ended is no error."""

    async def remove(self, container_id: str) -> None:
        """Remove an ended container with its anonymous volumes; one that is gone is no error."""

    async def execute(self, container_id: str, command: list[str], timeout: float) -> ExecResult:
        """Run a command inside; TimeoutError when it takes too long."""

    async def exec(self, container_id: str, command: list[str], wanted: Wanted) -> Process:
        """Start a command inside, with its streams."""

    async def attach(self, container_id: str, wanted: Wanted) -> Process:
        """The streams of its first process, from now on; a stdin or terminal that it does not have is not given."""

    async def port_forward(self, pause_id: str, port: int) -> Connection:
        """A TCP connection to a port on the 127.0.0.1 of the pod that this pause container holds."""

    async def usage(self) -> Sample: ...

    def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]: ...

    def events(self) -> AsyncGenerator[ContainerEvent, None]:
        """Starts with "connected"; ends with RuntimeUnavailable when the runtime goes away."""

    async def close(self) -> None: ...


def container_name(name: str, spec_hash: str, pod: str, pod_uid: str) -> str:
    """The name on docker's list; `pod` is namespace/name."""
    namespace, _, pod_name = pod.partition("/")
    return f"k8s_{name}.{spec_hash}_{pod_name}_{namespace}_{pod_uid}_{secrets.token_hex(4)}"
