"""The kubelet on this machine's docker: what pods really are, and the process with its flags.

Every test has a node name of its own, and a kubelet sees only the containers that carry its node's label.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import aiohttp
import msgspec
import pytest

from labkit.api.errors import NotFound
from labkit.api.types import Node, ObjectMeta, Pod, PodStatus, Secret
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import start_in_process
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.mounts import LinuxMounts
from labkit.components.kubelet.runtime import PAUSE as PAUSE_NAME
from labkit.components.kubelet.server import ADMITTED
from labkit.testing.eventually import eventually
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.node.private_registry import private_registry
from tests.node.real_etcd import Authority, free_port
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(120)
STAYS = {"image": BUSYBOX, "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.2; done"]}
SAYS = {"name": "c", "image": BUSYBOX, "command": ["sh", "-c", "echo hello; exec sleep 1000"]}
# docker-py imports paramiko (15 MB) where it is installed; on a machine of the lab it is not
AS_ON_A_MACHINE = """
import runpy, sys
sys.modules["paramiko"] = None
runpy.run_module("labkit.components.kubelet", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with pod_images():
        yield


@pytest.fixture
def name(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = "kubelet-test-" + tmp_path.name.replace("_", "-")
    yield name
    remove_containers_of(name)


@pytest.fixture
async def node(name: str, tmp_path: Path) -> AsyncIterator[OneNode]:
    runtime = Docker(SOCKET, name)
    async with one_node(runtime, tmp_path, within=30, node=name, pause_image=PAUSE, relist_seconds=10.0,
                        mounts=LinuxMounts()) as node:  # fmt: skip
        yield node


def running(status: PodStatus) -> bool:
    return status.phase == "Running" and all(c.ready for c in status.container_statuses)


def restarted(status: PodStatus) -> bool:
    return running(status) and status.container_statuses[0].restart_count == 1


def both_run(status: PodStatus) -> bool:
    states = [one.state for one in status.container_statuses]
    return len(states) == 2 and all(state is not None and state.running is not None for state in states)


async def inside(node: OneNode, *command: str, container: str = "c") -> str:
    """What a command prints in the newest running container of this name."""
    running = [c for c in await node.containers(container) if c.running]
    return (await node.runtime.execute(running[-1].id, list(command), 20)).output


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


class TestPods:
    async def test_what_a_container_sees(self, node: OneNode) -> None:
        """Variables of the services, one address, the cluster's DNS, and the pod's name as its hostname."""
        await node.service("redis-master", clusterIP="10.0.0.11")
        await eventually(lambda: "default/redis-master" in node.kubelet.services.store)
        env = [{"name": "URL", "value": "redis://$(REDIS_MASTER_SERVICE_HOST)"}]
        await node.create(STAYS | {"env": env}, name="web")
        status = await node.status(running, "web")
        seen = set((await inside(node, "env")).splitlines())
        assert {line for line in seen if line.startswith("REDIS")} == {
            "REDIS_MASTER_SERVICE_HOST=10.0.0.11", "REDIS_MASTER_SERVICE_PORT=6379",
            "REDIS_MASTER_PORT=tcp://10.0.0.11:6379", "REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379",
            "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp", "REDIS_MASTER_PORT_6379_TCP_PORT=6379",
            "REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11",
        }  # fmt: skip
        assert {"URL=redis://10.0.0.11", "KUBERNETES_SERVICE_HOST=10.0.0.1", "HOSTNAME=web"} <= seen
        resolv_conf = (await inside(node, "cat", "/etc/resolv.conf")).splitlines()
        assert [line for line in resolv_conf if line] == [
            "search default.svc.cluster.local svc.cluster.local cluster.local", "nameserver 10.0.0.10",
            "options ndots:5",
        ]  # fmt: skip
        assert status.pod_ip in await inside(node, "ip", "addr", "show", "eth0")
        assert f"{status.pod_ip}\tweb" in await inside(node, "cat", "/etc/hosts")

    async def test_the_machine_s_resolver_when_that_is_asked_for(self, node: OneNode) -> None:
        """A machine without a nameserver: docker must not put public ones in its place."""
        await node.create(STAYS, dnsPolicy="Default")
        await node.status(running)
        lines = (await inside(node, "cat", "/etc/resolv.conf")).splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == ["nameserver 127.0.0.1"]

    async def test_probes_by_http_and_tcp(self, node: OneNode) -> None:
        serve = {"image": BUSYBOX, "command": ["httpd", "-f", "-p", "8080", "-h", "/etc"]}
        ports = {"ports": [{"name": "web", "containerPort": 8080}]}
        for name, path, ready in (("good", "/passwd", True), ("bad", "/nope", False)):
            probe = {"httpGet": {"path": path, "port": "web"}, "periodSeconds": 1, "timeoutSeconds": 5}
            alive = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5}
            await node.create(serve | ports | {"readinessProbe": probe, "livenessProbe": alive}, name=name)
            await node.status(
                lambda s, ready=ready: s.phase == "Running" and s.container_statuses[0].ready == ready, name
            )

        async def told() -> bool:
            events = [text for reason, _, text in await node.events("bad") if reason == "unhealthy"]
            return "Readiness probe failed: HTTP probe failed with statuscode: 404" in events

        await eventually(told, within=20)
        assert [c.attempt for c in await node.containers("c")] == [0, 0]

    async def test_containers_of_a_pod_share_network_and_volumes(self, node: OneNode, tmp_path: Path) -> None:
        (tmp_path / "on-the-machine").write_text("here")
        serve = {"name": "a", "command": ["sh", "-c", "echo from a > /data/x; exec httpd -f -p 8080 -h /data"]}
        mount = {"image": BUSYBOX, "volumeMounts": [{"name": "scratch", "mountPath": "/data"}]}
        host = {"name": "host", "mountPath": "/host", "readOnly": True}
        other = STAYS | {"name": "b", "volumeMounts": [*mount["volumeMounts"], host]}
        volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "host", "hostPath": {"path": str(tmp_path)}}]
        pod = await node.create(serve | mount, other, volumes=volumes)
        await node.status(running)

        async def served() -> bool:
            return await inside(node, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/x", container="b") == "from a\n"

        await eventually(served, within=20)
        assert await inside(node, "cat", "/data/x", container="b") == "from a\n"
        assert await inside(node, "cat", "/host/on-the-machine", container="b") == "here"
        directory = tmp_path / "pods" / pod.metadata.uid
        assert (directory / "volumes/kubernetes.io~empty-dir/scratch/x").read_text() == "from a\n"
        await node.client.delete(Pod, "p", "default", grace_period_seconds=1)
        await node.gone()
        assert not directory.exists()
        assert (tmp_path / "on-the-machine").exists()

    async def test_a_host_port(self, node: OneNode) -> None:
        port = free_port()
        ports = [{"containerPort": 8080, "hostPort": port}]
        await node.create({"image": BUSYBOX, "ports": ports, "command": ["httpd", "-f", "-p", "8080", "-h", "/etc"]})
        await node.status(running)

        async def served() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as session:
                    return "nobody" in await (await session.get(f"http://127.0.0.1:{port}/passwd")).text()
            return False

        await eventually(served, within=20)

    async def test_last_words_and_exit_code(self, node: OneNode) -> None:
        command = ["sh", "-c", "echo last words > /dev/termination-log; exit 3"]
        await node.create({"image": BUSYBOX, "command": command}, restartPolicy="Never")
        status = await node.status(lambda s: s.phase == "Failed")
        told = status.container_statuses[0].state.terminated
        assert told is not None
        assert (told.exit_code, told.reason, told.message) == (3, "Error", "last words\n")

    async def test_a_port_that_is_taken_is_said(self, node: OneNode) -> None:
        """A pause container that docker cannot start is retried, with docker's reason in the events."""
        with socket.create_server(("0.0.0.0", 0)) as taken:
            ports = [{"containerPort": 8080, "hostPort": taken.getsockname()[1]}]
            await node.create(STAYS | {"ports": ports}, name="late")

            async def told() -> bool:
                failed = [text for reason, _, text in await node.events("late") if reason == "failed"]
                return bool(failed) and "address already in use" in failed[0]

            await eventually(told, within=20)
        await node.status(running, "late")

    async def test_of_two_pods_that_want_one_host_port_the_second_is_refused(self, node: OneNode) -> None:
        ports = [{"containerPort": 8080, "hostPort": free_port()}]
        await node.create(STAYS | {"ports": ports}, name="first")
        await node.status(running, "first")
        await node.create(STAYS | {"ports": ports}, name="second")
        refused = await node.status(lambda status: status.phase == "Failed", "second")
        assert refused.reason == "HostPortConflict"


class TestImages:
    async def test_a_private_registry(self, node: OneNode) -> None:
        """Docker asks as the pod's secret says; without it the registry lets nobody in."""
        async with private_registry("me", "secret") as image:
            entry = {"username": "me", "password": "secret", "email": "me@example.com"}
            data = {".dockercfg": json.dumps({image.partition("/")[0]: entry}).encode()}
            meta = ObjectMeta(name="login", namespace="default")
            await node.client.create(Secret(metadata=meta, type="kubernetes.io/dockercfg", data=data))
            await node.create(STAYS | {"image": image}, name="nobody")
            refused = await node.status(lambda s: waits(s).startswith("ErrImagePull"), "nobody")
            assert "no basic auth credentials" in waits(refused)
            await node.create(STAYS | {"image": image}, name="me", imagePullSecrets=[{"name": "login"}])
            try:
                await node.status(running, "me")
            finally:
                remove_containers_of(node.settings.node)
                await asyncio.to_thread(docker, "image", "rm", "-f", image)


def waits(status: PodStatus) -> str:
    states = [c.state.waiting for c in status.container_statuses]
    return f"{states[0].reason} {states[0].message}" if states and states[0] else ""


class TestDisk:
    async def test_who_takes_more_than_his_allowance_is_evicted_in_time(self, node: OneNode) -> None:
        """A container that writes to its own layer, and one that fills an emptyDir."""
        limits = {"resources": {"limits": {"ephemeral-storage": "20Mi"}}}
        layer = {"image": BUSYBOX, "command": ["sh", "-c", "head -c 30000000 /dev/zero > /big; sleep 1000"]} | limits
        fills = {"image": BUSYBOX, "command": ["sh", "-c", "head -c 30000000 /dev/zero > /v/big; sleep 1000"]}
        mounted = fills | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        volumes = [{"name": "v", "emptyDir": {"sizeLimit": "20Mi"}}]
        await node.create(layer, name="layer", terminationGracePeriodSeconds=1)
        await node.create(mounted, name="volume", volumes=volumes, terminationGracePeriodSeconds=1)
        for name in ("layer", "volume"):
            await node.status(lambda s: running(s) or s.phase == "Failed", name)
        began = asyncio.get_running_loop().time()
        for name, told in (("layer", 'container "c" wrote 28.6 MiB'), ("volume", 'emptyDir "v" holds 28.6 MiB')):
            status = await node.status(lambda s: s.phase == "Failed" and s.container_statuses[0].state.terminated, name)
            assert (status.reason, told in status.message) == ("Evicted", True)
            await node.told("evicted", "", told, name)
        assert asyncio.get_running_loop().time() - began < 20

        async def given_back() -> bool:
            return await node.runtime.containers() == []

        await eventually(given_back, within=20)


class TestRepair:
    async def test_a_killed_container_is_started_again(self, node: OneNode) -> None:
        await node.create(STAYS)
        before = await node.status(running)
        (first,) = await node.containers("c")
        await asyncio.to_thread(docker, "kill", first.id)
        after = await node.status(restarted)
        last = after.container_statuses[0].last_state.terminated
        assert last is not None
        assert last.exit_code == 137
        assert after.pod_ip == before.pod_ip

    async def test_a_killed_pause_container_rebuilds_the_pod(self, node: OneNode) -> None:
        await node.create(STAYS)
        await node.status(running)
        (first,) = await node.containers(PAUSE_NAME)
        await asyncio.to_thread(docker, "kill", first.id)
        after = await node.status(restarted)
        (second,) = [c for c in await node.containers(PAUSE_NAME) if c.running]
        assert second.id != first.id
        assert after.pod_ip == second.ip
        assert second.ip in await inside(node, "ip", "addr", "show", "eth0")

    async def test_removed_containers_are_made_again(self, node: OneNode) -> None:
        await node.create(STAYS)
        await node.status(running)
        everything = [c.id for c in await node.runtime.containers()]
        await asyncio.to_thread(docker, "rm", "-f", *everything)
        # docker removes one after the other: the first may be started once more in what the other leaves
        await node.status(lambda status: running(status) and status.container_statuses[0].restart_count in (1, 2))

    async def test_a_kubelet_that_comes_back_adopts_what_runs(self, node: OneNode) -> None:
        await node.create(STAYS)
        await node.status(running)
        before = {(c.id, c.started) for c in await node.runtime.containers()}
        await node.end_kubelet()
        node.start_kubelet()
        await eventually(lambda: [len(worker.seen) for worker in node.kubelet.workers.values()] == [2], within=20)
        assert {(c.id, c.started) for c in await node.runtime.containers()} == before

    async def test_after_a_reboot_the_same_pods_run_again(self, node: OneNode) -> None:
        """A machine that went down leaves every container ended; the kubelet comes up later. First the pause container,
        then the others in the order of the spec."""
        pod = await node.create(STAYS | {"name": "z"}, STAYS | {"name": "a"})
        await node.status(both_run)
        await node.end_kubelet()
        await asyncio.to_thread(docker, "kill", *[c.id for c in await node.runtime.containers()])
        node.start_kubelet()
        await node.status(
            lambda status: both_run(status) and [c.restart_count for c in status.container_statuses] == [1, 1]
        )
        assert (await node.client.get(Pod, "p", "default")).metadata.uid == pod.metadata.uid
        running = sorted((c for c in await node.runtime.containers() if c.running), key=lambda c: c.created)
        assert [c.name for c in running] == [PAUSE_NAME, "z", "a"]


class TestProcess:
    async def test_its_life(self, name: str, tmp_path: Path) -> None:
        """Flags, a pod, its log for kube-apiserver, little memory; it ends within 5 s and leaves the pod running."""
        (tmp_path / "pki").mkdir()
        authority = Authority(tmp_path / "pki")
        async with (
            await start_in_process() as server,
            Client(server.base_url) as client,
            kubelet_process(name, tmp_path, authority, server.base_url) as (process, port),
        ):
            await eventually(lambda: ready(client, name), within=30)
            pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": name, "containers": [SAYS]}}
            await client.create(msgspec.convert(pod, Pod))

            async def runs() -> bool:
                return running((await client.get(Pod, "p", "default")).status)

            await eventually(runs, within=30)
            assert await log(authority, port, "default/p/c") == "hello\n"
            assert resident_megabytes(process.pid) <= 60
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 5) == 0
            runtime = Docker(SOCKET, name)
            assert [c.state for c in await runtime.containers()] == ["running", "running"]
            await runtime.close()

    async def test_a_port_that_is_taken(self, name: str, tmp_path: Path) -> None:
        """A sentence, not a traceback."""
        (tmp_path / "pki").mkdir()
        authority = Authority(tmp_path / "pki")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = tmp_path / "said"
            with said.open("wb") as stderr:
                process = kubelet_process(name, tmp_path, authority, "http://127.0.0.1:1", port=port, stderr=stderr)
                async with process as (process, _):
                    assert await asyncio.wait_for(process.wait(), 30) == 1
        text = said.read_text()
        assert str(port) in text
        assert "address already in use: stop the program that has it, or choose another port" in text
        assert "Traceback" not in text

    def test_help_and_wrong_flags(self, tmp_path: Path) -> None:
        told = kubelet("--help")
        assert (told.returncode, "--cluster-dns" in told.stdout) == (0, True)
        files = [f"--{flag}={tmp_path}/none" for flag in ("tls-cert-file", "tls-private-key-file", "client-ca-file")]
        told = kubelet("--kubeconfig=/none", "--hostname-override=n", *files)
        assert (told.returncode, "--kubeconfig" in told.stderr, "Traceback" in told.stderr) == (2, True, False)
        told = kubelet("--kubeconfig=/none", "--hostname-override=n", "--node-labels=x", *files)
        assert (told.returncode, "'x' is not of the form name=value" in told.stderr) == (2, True)


def kubelet(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labkit.components.kubelet", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextlib.asynccontextmanager
async def kubelet_process(
    name: str, folder: Path, authority: Authority, server: str, *, port: int = 0, stderr: IO[bytes] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    certificate, key = authority.issue(name)
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c",
    }  # fmt: skip
    (folder / "kubeconfig").write_text(json.dumps(config))
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_ON_A_MACHINE, f"--kubeconfig={folder}/kubeconfig",
        f"--hostname-override={name}", f"--port={port}", f"--healthz-port={free_port()}", f"--root-dir={folder}/root",
        f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}", f"--client-ca-file={authority.ca}",
        f"--pod-infra-container-image={PAUSE}", stdout=asyncio.subprocess.DEVNULL, stderr=stderr,
        env=os.environ | {"MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(client: Client, name: str) -> bool:
    try:
        conditions = (await client.get(Node, name)).status.conditions
    except NotFound:
        return False
    return any(c.type == "Ready" and c.status == "True" for c in conditions)


async def log(authority: Authority, port: int, path: str) -> str:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(*authority.issue(ADMITTED))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        answer = await session.get(f"https://localhost:{port}/containerLogs/{path}")
        return await answer.text()


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6
