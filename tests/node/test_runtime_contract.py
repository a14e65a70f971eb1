"""The runtime contract on this machine's docker, and what only a real one can show.

Containers are told apart by the label of their node, which is another one for each test, so nothing else on this docker
is seen or touched.
"""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from labkit.components.kubelet import runtime as labels
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.own_groups import OwnGroups
from labkit.components.kubelet.runtime import (
    Connection,
    LogOptions,
    Mount,
    Resolver,
    Resources,
    RuntimeFailure,
    RuntimeUnavailable,
)
from labkit.testing.eventually import eventually
from labkit.upgrade import close
from tests.lives import HUNGRY
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.runtime_contract import ENDS, RuntimeContract, config

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with pod_images():
        yield


@pytest.fixture
def image() -> str:
    return BUSYBOX


@pytest.fixture
def pause_image() -> str:
    return PAUSE


@pytest.fixture
def node() -> Iterator[str]:
    name = f"kubelet-test-{secrets.token_hex(4)}"
    yield name
    remove_containers_of(name)


@pytest.fixture
def uid() -> str:
    return secrets.token_hex(8)


@pytest.fixture
async def runtime(node: str) -> AsyncIterator[Docker]:
    docker = Docker(SOCKET, node)
    yield docker
    await docker.close()


@pytest.fixture
def special_image(node: str) -> Iterator[str]:
    """An image that wants to be stopped by SIGUSR1."""
    name = f"{BUSYBOX}-special"
    recipe = f"FROM {BUSYBOX}\nSTOPSIGNAL SIGUSR1\n".encode()
    subprocess.run(
        ["docker", "build", "-q", "-t", name, "-"], input=recipe, capture_output=True, timeout=60, check=True
    )
    yield name
    remove_containers_of(node)
    subprocess.run(["docker", "image", "rm", "-f", name], capture_output=True, timeout=60, check=True)


def remove_containers_of(node: str) -> None:
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={labels.NODE}={node}"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.split()  # fmt: skip
    if listed:
        subprocess.run(["docker", "rm", "-fv", *listed], capture_output=True, timeout=60, check=True)
    OwnGroups(node).keep(())  # what a kubelet would have done at its next look


NEEDS_GROUPS = pytest.mark.skipif(
    not OwnGroups("n").usable(), reason="no control groups can be made here: docker's own word has to do"
)


class TestDocker(RuntimeContract):
    async def test_what_is_in_a_pod(self, runtime: Docker, node: str, uid: str) -> None:
        """Address, hostname and resolv.conf come from the pause container, IPC is shared with it."""
        resolver = Resolver(("10.0.0.10",), ("default.svc.cluster.local", "cluster.local"), ("ndots:5",))
        pause = await self.run(runtime, config(PAUSE, node, uid, labels.PAUSE, hostname="mypod", resolver=resolver))
        app = await self.run(runtime, config(BUSYBOX, node, uid, network=pause, ipc=pause))
        read = (await runtime.execute(app, ["cat", "/etc/resolv.conf"], 10)).output.split("\n")
        assert [line for line in read if line] == [
            "search default.svc.cluster.local cluster.local", "nameserver 10.0.0.10", "options ndots:5"
        ]  # fmt: skip
        assert (await runtime.execute(app, ["hostname"], 10)).output == "mypod\n"
        address = (await self.one(runtime, pause)).ip
        assert address in (await runtime.execute(app, ["ip", "addr"], 10)).output
        assert self.namespace(pause, "ipc") == self.namespace(app, "ipc")
        assert self.namespace(pause, "mnt") != self.namespace(app, "mnt")

    def namespace(self, container: str, kind: str) -> str:
        shown = ["docker", "inspect", "-f", "{{.State.Pid}}", container]
        pid = subprocess.run(shown, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
        return subprocess.run(
            ["readlink", f"/proc/{pid}/ns/{kind}"], capture_output=True, text=True, timeout=30, check=True
        ).stdout

    async def test_mounts_environment_and_directory(self, runtime: Docker, node: str, uid: str, tmp_path: Path) -> None:
        (tmp_path / "there").write_text("content")
        mounts = (Mount(str(tmp_path), "/data"), Mount(str(tmp_path), "/ro", read_only=True))
        wanted = config(BUSYBOX, node, uid, env=(("A", "1"), ("B", "x y")), mounts=mounts, working_dir="/data")
        app = await self.run(runtime, wanted)
        assert (await runtime.execute(app, ["cat", "there"], 10)).output == "content"
        assert (await runtime.execute(app, ["touch", "/ro/no"], 10)).exit_code == 1
        assert {"A=1", "B=x y"} <= set((await runtime.execute(app, ["env"], 10)).output.split("\n"))

    async def test_limits_reach_docker(self, runtime: Docker, node: str, uid: str) -> None:
        wanted = Resources(memory=64 << 20, cpu_limit=500, cpu_request=250)
        app = await self.run(runtime, config(BUSYBOX, node, uid, resources=wanted))
        shown = await runtime._call(lambda api: api.inspect_container(app)["HostConfig"])
        assert (shown["Memory"], shown["MemorySwap"]) == (64 << 20, 64 << 20)
        assert (shown["CpuShares"], shown["CpuPeriod"], shown["CpuQuota"]) == (256, 100_000, 50_000)

    @NEEDS_GROUPS
    async def test_weight_and_count_are_those_of_the_group_around_it(
        self, runtime: Docker, node: str, uid: str
    ) -> None:
        wanted = Resources(cpu_request=250, pids=10)
        app = await self.run(runtime, config(BUSYBOX, node, uid, resources=wanted))
        parent = (await self.one(runtime, app)).cgroup_parent
        assert parent.startswith(f"/kubelet/{node}/")
        groups = Path("/sys/fs/cgroup")
        if OwnGroups(node).version == "1":
            assert [path.read_text() for path in groups.glob(f"cpu*{parent}/cpu.shares")][:1] == ["256\n"]
        else:
            assert (groups / parent[1:] / "cpu.weight").read_text() == "10\n"
        assert not (await self.one(runtime, app)).crowded

    @NEEDS_GROUPS
    async def test_who_was_killed_for_want_of_memory(self, runtime: Docker, node: str, uid: str) -> None:
        """Docker's own word is not needed; nor does a kubelet have to be there at that moment."""
        wanted = config(BUSYBOX, node, uid, command=("sh", "-c", HUNGRY), resources=Resources(memory=16 << 20))
        made = await self.run(runtime, wanted)
        seen = await self.ended(runtime, made)
        assert (seen.exit_code, seen.oom_killed) == (137, True)
        assert runtime._groups.killed(seen.cgroup_parent, 137)
        assert OwnGroups(node).killed(seen.cgroup_parent, 137)  # of a kubelet that comes back
        await runtime.remove(made)
        assert list(Path("/sys/fs/cgroup").glob(f"*{seen.cgroup_parent}")) == []

    @NEEDS_GROUPS
    async def test_who_was_killed_by_others(self, runtime: Docker, node: str, uid: str) -> None:
        made = await self.run(runtime, config(BUSYBOX, node, uid, resources=Resources(memory=16 << 20)))
        await runtime.signal(made, "SIGKILL")
        seen = await self.ended(runtime, made)
        assert (seen.exit_code, seen.oom_killed) == (137, False)
        remove_containers_of(node)
        await runtime.containers()
        assert list(Path("/sys/fs/cgroup").glob(f"*{seen.cgroup_parent}")) == []

    async def test_one_process_namespace(self, runtime: Docker, node: str, uid: str) -> None:
        pause = await self.run(runtime, config(PAUSE, node, uid, labels.PAUSE))
        app = await self.run(runtime, config(BUSYBOX, node, uid, network=pause, ipc=pause, pid=pause))
        assert self.namespace(pause, "pid") == self.namespace(app, "pid")

    async def test_logs_are_bounded(self, runtime: Docker, node: str, uid: str) -> None:
        app = await runtime.create(config(BUSYBOX, node, uid))
        shown = await runtime._call(lambda api: api.inspect_container(app)["HostConfig"])
        assert shown["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}

    @NEEDS_GROUPS
    @pytest.mark.cis("4.2.13")
    async def test_who_forks_without_end_hurts_only_itself(self, runtime: Docker, node: str, uid: str) -> None:
        forks = ("sh", "-c", "i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done; wait")
        bomb = await self.run(runtime, config(BUSYBOX, node, uid, "bomb", command=forks, resources=Resources(pids=10)))
        other = await self.run(runtime, config(BUSYBOX, node, uid, "other", resources=Resources(pids=10)))
        seen = await self.ended(runtime, bomb)
        assert (seen.exit_code != 0, seen.pids_limit, seen.crowded) == (True, 10, True)
        text = b"".join([chunk async for chunk in runtime.logs(bomb, LogOptions())]).decode()
        assert "can't fork" in text
        assert (await runtime.execute(other, ["echo", "fine"], 10)).output == "fine\n"
        assert not (await self.one(runtime, other)).crowded

    @pytest.mark.cis("5.7.2")
    async def test_docker_s_seccomp_profile(self, runtime: Docker, node: str, uid: str) -> None:
        app = await self.run(runtime, config(BUSYBOX, node, uid))
        status = (await runtime.execute(app, ["cat", "/proc/1/status"], 10)).output
        assert "\nSeccomp:\t2\n" in status  # filtered, and by whose filter docker inspect tells
        shown = await runtime._call(lambda api: api.inspect_container(app)["HostConfig"])
        assert not shown["SecurityOpt"]

    async def test_last_words(self, runtime: Docker, node: str, uid: str, tmp_path: Path) -> None:
        file = tmp_path / "words"
        file.touch()
        wanted = config(
            BUSYBOX, node, uid, command=("sh", "-c", "echo last words > /dev/termination-log; exit 3"),
            mounts=(Mount(str(file), "/dev/termination-log"),),
        )  # fmt: skip
        told = dict(wanted.labels) | {labels.MESSAGE_FILE: str(file)}
        app = await self.run(runtime, type(wanted)(**{**vars(wanted), "labels": told}))
        assert (await self.ended(runtime, app)).message == "last words\n"

    async def test_port_forward_to_what_listens_on_the_pod_s_own_loopback(
        self, runtime: Docker, node: str, uid: str
    ) -> None:
        pause = await self.run(runtime, config(PAUSE, node, uid, labels.PAUSE))
        command = ("httpd", "-f", "-p", "127.0.0.1:7000", "-h", "/etc")
        await self.run(runtime, config(BUSYBOX, node, uid, network=pause, command=command))

        async def forwarded() -> Connection | None:
            with suppress(RuntimeFailure):  # it does not listen yet
                return await runtime.port_forward(pause, 7000)
            return None

        reader, writer = await eventually(forwarded, within=10)
        address = (await self.one(runtime, pause)).ip
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address, 7000)
        writer.write(b"GET /passwd HTTP/1.0\r\n\r\n")
        assert b"nobody" in await reader.read()
        await close(writer)

    async def test_port_forward_leaves_the_kubelet_in_its_own_network(
        self, runtime: Docker, node: str, uid: str
    ) -> None:
        pause = await self.run(runtime, config(PAUSE, node, uid, labels.PAUSE))

        def networks() -> set[int]:
            return {thread.stat().st_ino for thread in Path("/proc/self/task").glob("*/ns/net")}

        before = networks()
        for _ in range(20):
            with pytest.raises(RuntimeFailure, match="port 7000 of the pod"):
                await runtime.port_forward(pause, 7000)
        await eventually(lambda: networks() == before)

    async def test_another_node_s_containers_are_not_seen(self, runtime: Docker, node: str, uid: str) -> None:
        other = Docker(SOCKET, node + "-other")
        await runtime.create(config(BUSYBOX, node, uid, command=ENDS))
        assert await other.containers() == []
        await other.close()

    async def test_no_docker(self) -> None:
        nowhere = Docker("unix:///nonexistent/docker.sock", "n")
        for call in (nowhere.version(), nowhere.containers(), nowhere.pull("x"), anext(nowhere.events())):
            with pytest.raises(RuntimeUnavailable, match="docker does not answer"):
                await call

    async def test_a_stop_signal_of_the_image_is_used(
        self, runtime: Docker, special_image: str, node: str, uid: str
    ) -> None:
        command = ("sh", "-c", "trap 'exit 5' USR1; while true; do sleep 0.1; done")
        made = await self.run(runtime, config(special_image, node, uid, command=command))

        async def loops() -> bool:
            listed = await runtime.execute(made, ["sh", "-c", "cat /proc/[0-9]*/cmdline"], 10)
            return "sleep" in listed.output.replace("sleep 0.1", "")

        await eventually(loops, within=10, expect="the shell has set its trap and loops")
        await runtime.signal(made, "SIGTERM")
        assert (await self.ended(runtime, made)).exit_code == 5
