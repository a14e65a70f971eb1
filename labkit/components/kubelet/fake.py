"""A container runtime that runs nothing: docker's twin for tests and for clusters of hundreds of nodes in one process.

It passes the same contract tests as docker. What a container does when it is started is told by a `Program`.
"""

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace

from labkit.components.kubelet import runtime
from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.credentials import Credentials
from labkit.components.kubelet.fake_process import FakeProcess, echoing
from labkit.components.kubelet.process import Process, Wanted
from labkit.components.kubelet.runtime import (
    PAUSE,
    Connection,
    Container,
    ContainerConfig,
    ContainerEvent,
    Disk,
    ExecResult,
    Image,
    LogOptions,
    Measured,
    NoSuchContainer,
    NoSuchImage,
    RuntimeFailure,
    RuntimeUnavailable,
    Sample,
)
from labkit.components.kubelet.times import stamp

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Program:
    """What a container does. It prints `output` and ends with `exit_code` after `seconds`, or runs on where that is
    None. `message`: its last words. `hungry`: it ends for want of memory. `forks`: it wants more processes than anybody
    lets it have. `writes`: bytes, outside its volumes. `stubborn` ignores SIGTERM; `broken` is docker's word when it
    cannot even start. `echoes`: it prints what it reads, until that ends; `echo_port`: it does so for everybody who
    connects. While it runs it uses `cpu` thousandths of a core and `memory` bytes."""

    output: tuple[str, ...] = ()
    exit_code: int | None = None
    seconds: float = 0.0
    message: str = ""
    hungry: bool = False
    forks: bool = False
    writes: int = 0
    stubborn: bool = False
    broken: str = ""
    echoes: bool = False
    echo_port: int = 0
    cpu: int = 5
    memory: int = 16 * MEGABYTE


RUNS_ON = Program()
PAUSES = Program(cpu=0, memory=MEGABYTE // 2)
IDLE_CPU, IDLE_MEMORY = 20, 100 * MEGABYTE  # what the machine uses without any pod


@dataclass
class _Made:
    config: ContainerConfig
    container: Container
    program: Program = RUNS_ON
    lines: list[tuple[float, str]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    attached: list[FakeProcess] = field(default_factory=list)


class FakeRuntime:
    """Containers as entries of a dict. Every image is present unless `absent` names it; `pullable` can be had."""

    def __init__(
        self, node: str = "node", *, program: Callable[[ContainerConfig], Program] = lambda config: RUNS_ON,
        subnet: int = 0, network: str = "", start_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        """The addresses of its pods begin with `network` (`100.64.3`), or are of 10.244.SUBNET."""
        self.node = node
        self.program = program
        self.absent: set[str] = set()
        self.pullable: set[str] = set()
        self.never_ending: set[str] = set()  # images whose pull hangs
        self.private: dict[str, Credentials] = {}  # images, and who may have them
        self.logins: list[Credentials | None] = []  # who asked for images
        self.stored: dict[str, int] = {}  # sizes of images
        self.capacity, self.free = 100 << 30, 50 << 30  # bytes of the disk
        self.mute = False  # events are lost
        self.down = False
        self._made: dict[str, _Made] = {}
        self._subnet = subnet
        self._network = network
        self._start_seconds = start_seconds
        self._numbers = itertools.count(2)
        self._born = time.time()
        self._spent = 0  # nanoseconds of CPU, by containers that ended
        self._listeners: list[asyncio.Queue[ContainerEvent | None]] = []

    # -- what a test does to it -----------------------------------------------------------------------------

    def exit(self, pod: str, container: str, exit_code: int = 0) -> None:
        """End a running container of a pod (`namespace/name` or only the name)."""
        for made in self._made.values():
            seen = made.container
            if seen.running and seen.name == container and pod in (seen.pod, seen.pod.partition("/")[2]):
                return self._end(made, exit_code)
        raise NoSuchContainer(f"{container} of {pod} does not run")

    def forget(self, pod: str) -> None:
        """All containers of a pod are removed behind the kubelet's back, running or not."""
        for made in [m for m in self._made.values() if pod in (m.container.pod, m.container.pod.partition("/")[2])]:
            del self._made[made.container.id]
            self._tell("destroy", made)

    def configs(self) -> list[ContainerConfig]:
        """What every container that is there was made of."""
        return [made.config for made in self._made.values()]

    def stop(self) -> None:
        """Docker goes down, and all its containers with it."""
        self.down = True
        for made in self._made.values():
            if made.container.running:
                self._end(made, 137)
        for listener in self._listeners:
            listener.put_nowait(None)

    def restart(self) -> None:
        """Docker comes back; what it ran stays ended."""
        self.down = False

    # -- the Runtime ----------------------------------------------------------------------------------------

    async def version(self) -> str:
        await self._answer()
        return "fake://1"

    async def containers(self, pod_uid: str = "") -> list[Container]:
        await self._answer()
        return [m.container for m in self._made.values() if not pod_uid or m.container.pod_uid == pod_uid]

    async def image(self, name: str) -> str:
        await self._answer()
        if name in self.absent:
            raise NoSuchImage("no such image")
        return _image_id(name)

    async def images(self) -> list[Image]:
        await self._answer()
        return [Image(await self.image(name), (name,), size) for name, size in self.stored.items()]

    async def remove_image(self, image_id: str) -> None:
        await self._answer()
        if any(made.container.image_id == image_id for made in self._made.values()):
            raise RuntimeFailure("API error (409): conflict: a container uses this image")
        for name in [name for name in self.stored if _image_id(name) == image_id]:
            self.free += self.stored.pop(name)
            self.absent.add(name)

    async def disk(self) -> Disk:
        await self._answer()
        return Disk(self.capacity, self.free)

    async def written(self) -> dict[str, int]:
        await self._answer()
        return {m.container.id: m.program.writes for m in self._made.values() if m.container.running}

    async def pull(self, name: str, login: Credentials | None = None) -> None:
        await self._answer()
        self.logins.append(login)
        if name in self.private and login != self.private[name]:
            raise RuntimeFailure(f"pull access denied for {name}, repository does not exist or may require login")
        if name in self.never_ending:
            await asyncio.Event().wait()
        if name in self.absent and name not in self.pullable:
            raise RuntimeFailure(f"pull access denied for {name}, repository does not exist")
        self.absent.discard(name)

    async def create(self, config: ContainerConfig) -> str:
        image_id = await self.image(config.image)
        if any(made.config.name == config.name for made in self._made.values()):
            raise RuntimeFailure(f"API error (409): the container name {config.name} is already in use")
        labels = config.labels
        container = Container(
            id=hashlib.sha256(config.name.encode()).hexdigest(),
            name=labels.get(runtime.CONTAINER, ""),
            pod=labels.get(runtime.POD, ""),
            pod_uid=labels.get(runtime.POD_UID, ""),
            state="created",
            hash=labels.get(runtime.HASH, ""),
            attempt=int(labels.get(runtime.ATTEMPT, 0)),
            backoff=float(labels.get(runtime.BACKOFF, 0)),
            grace=int(labels.get(runtime.GRACE, 30)),
            image=config.image,
            image_id=image_id,
            created=time.time(),
            pids_limit=config.resources.pids,
        )
        self._made[container.id] = _Made(config, container)
        return container.id

    async def start(self, container_id: str) -> None:
        made = await self._find(container_id)
        config = made.config
        await asyncio.sleep(self._start_seconds)
        if config.network not in ("", "host") and not self._made[config.network].container.running:
            raise RuntimeFailure("API error (409): cannot join network of a non running container")
        made.program = PAUSES if made.container.name == PAUSE else self.program(config)
        if made.program.broken:
            error = made.program.broken
            made.container = replace(made.container, error=error, exit_code=127)
            raise RuntimeFailure(f"API error (400): {error}")
        number = next(self._numbers)
        network = self._network or f"10.244.{self._subnet + number // 250}"
        address = "" if config.network else f"{network}.{number % 250 + 2}"
        crowded = made.program.forks and bool(config.resources.pids)
        made.container = replace(made.container, state="running", started=time.time(), ip=address, crowded=crowded)
        made.lines += [(time.time(), line) for line in made.program.output]
        self._tell("start", made)
        if (code := made.program.exit_code) is not None:
            made.timer = asyncio.get_running_loop().call_later(made.program.seconds, self._end, made, code)

    async def signal(self, container_id: str, signal: str) -> None:
        try:
            made = await self._find(container_id)
        except NoSuchContainer:
            return
        if made.container.running and not (made.program.stubborn and signal != "SIGKILL"):
            self._end(made, 137 if signal == "SIGKILL" else 143)

    async def remove(self, container_id: str) -> None:
        await self._answer()
        made = self._made.get(container_id)
        if made is not None and made.container.running:
            raise RuntimeFailure("API error (409): you cannot remove a running container")
        if made is not None:
            del self._made[container_id]
            self._tell("destroy", made)

    async def execute(self, container_id: str, command: list[str], timeout: float) -> ExecResult:
        made = await self._find(container_id)
        if not made.container.running:
            raise RuntimeFailure(f"API error (409): container {container_id} is not running")
        match command:
            case ["sh", "-c", text] if text.startswith("exit "):
                return ExecResult(int(text.removeprefix("exit ")), "")
            case ["sleep", text] if float(text) > timeout:
                raise TimeoutError
            case ["echo", *words]:
                return ExecResult(0, " ".join(words) + "\n")
        return ExecResult(0, "")

    async def exec(self, container_id: str, command: list[str], wanted: Wanted) -> Process:
        made = await self._find(container_id)
        if not made.container.running:
            raise RuntimeFailure(f"API error (409): container {container_id} is not running")
        return FakeProcess.of(command, wanted)

    async def attach(self, container_id: str, wanted: Wanted) -> Process:
        made = await self._find(container_id)
        process = FakeProcess(echoes=made.program.echoes, wanted=wanted, on_end=lambda: self._end(made, 0))
        made.attached.append(process)
        return process

    async def port_forward(self, pause_id: str, port: int) -> Connection:
        pod = (await self._find(pause_id)).container.pod_uid
        of_pod = [made for made in self._made.values() if made.container.pod_uid == pod and made.container.running]
        if not any(made.program.echo_port == port for made in of_pod):
            raise RuntimeFailure(f"port {port} of the pod: connection refused")
        return await echoing()

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        made = await self._find(container_id)
        lines = [(when, line) for when, line in made.lines if when >= options.since]
        if options.tail is not None:
            lines = lines[max(0, len(lines) - options.tail) :]
        for when, line in lines:
            yield (f"{stamp(when)} {line}\n" if options.timestamps else f"{line}\n").encode()
        if options.follow and made.container.running:
            await made.ended.wait()

    async def usage(self) -> Sample:
        """Exactly what the programs are said to use; the machine's figures are the sum of theirs and its own."""
        await self._answer()
        now = time.time()
        running = {made.container.id: made for made in self._made.values() if made.container.running}
        found = {name: Measured(made.container, _counters(made, now)) for name, made in running.items()}
        machine = Counters(cpu=self._spent + _nanoseconds(IDLE_CPU, now - self._born), memory=IDLE_MEMORY,
                           working_set=IDLE_MEMORY, rss=IDLE_MEMORY)  # fmt: skip
        return Sample(now, sum((one.counters for one in found.values()), machine), found)

    async def events(self) -> AsyncGenerator[ContainerEvent, None]:
        await self._answer()
        listener: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self._listeners.append(listener)
        try:
            yield ContainerEvent("connected")
            while (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.remove(listener)
        raise RuntimeUnavailable("the event stream ended")

    async def close(self) -> None:
        for made in self._made.values():
            if made.timer is not None:
                made.timer.cancel()

    # -- inside ---------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise RuntimeUnavailable("docker does not answer")

    async def _find(self, container_id: str) -> _Made:
        await self._answer()
        if container_id not in self._made:
            raise NoSuchContainer(f"API error (404): No such container: {container_id}")
        return self._made[container_id]

    def _end(self, made: _Made, exit_code: int) -> None:
        if made.timer is not None:
            made.timer.cancel()
        if made.container.running:
            self._spent += _counters(made, time.time()).cpu
            made.container = replace(
                made.container, state="exited", finished=time.time(), exit_code=exit_code, ip="",
                message=made.program.message, oom_killed=made.program.hungry,
            )  # fmt: skip
            made.ended.set()
            for process in made.attached:
                process.end(exit_code)
            self._tell("die", made)

    def _tell(self, what: str, made: _Made) -> None:
        for listener in [] if self.mute else self._listeners:
            listener.put_nowait(ContainerEvent(what, made.container.id, made.container.pod_uid))


def _counters(made: _Made, now: float) -> Counters:
    """All of its memory is its own, none is page cache."""
    program = made.program
    spent = _nanoseconds(program.cpu, now - made.container.started)
    return Counters(cpu=spent, cpu_user=spent, memory=program.memory, working_set=program.memory, rss=program.memory)


def _nanoseconds(millicores: int, seconds: float) -> int:
    return int(millicores * 1_000_000 * seconds)


def _image_id(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()
