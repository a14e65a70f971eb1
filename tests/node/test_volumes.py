"""Volumes on this machine's docker: what containers find in them, and what is left when they are gone."""

import asyncio
import io
import os
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit.api.types import ConfigMap, Namespace, ObjectMeta, Pod, PodStatus, Secret, copy
from labkit.client.rest import Client
from labkit.cluster import read
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_controller_manager.tokens import signer
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.mounts import LinuxMounts
from labkit.components.kubelet.settings import Settings as KubeletSettings
from labkit.provision.pki import Pki
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.node.pod_images import PAUSE, pod_images
from tests.node.real_etcd import free_port
from tests.node.test_kubelet import STAYS, docker, inside, running
from tests.node.test_runtime_contract import SOCKET, remove_containers_of
from tests.unit.components.kubelet.one_node import OneNode, one_node

pytestmark = pytest.mark.timeout(120)
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module", autouse=True)
def images() -> Iterator[None]:
    with pod_images():
        yield


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    name = "volumes-test-" + tmp_path.name.replace("_", "-")
    yield name
    remove_containers_of(name)
    for mounted in LinuxMounts().below(tmp_path):
        LinuxMounts().end(mounted.path)


@pytest.fixture
async def node(name: str, tmp_path: Path) -> AsyncIterator[OneNode]:
    settings = {"node": name, "pause_image": PAUSE, "relist_seconds": 10.0, "sync_seconds": 0.5}
    async with one_node(Docker(SOCKET, name), tmp_path, within=30, mounts=LinuxMounts(), **settings) as node:
        yield node


def all_running(status: PodStatus) -> bool:
    return all(one.state is not None and one.state.running is not None for one in status.container_statuses)


def mounts_below(path: Path) -> set[tuple[str, str]]:
    return {(mounted.path.name, mounted.type) for mounted in LinuxMounts().below(path)}


async def test_all_kinds_in_one_pod(node: OneNode, tmp_path: Path) -> None:
    """Secrets and memory on tmpfs, read by any user of the container and by nobody else of the machine; gone with it.

    (A test's own folder is closed to others anyway, so the mode is looked at.)
    """
    meta = ObjectMeta(name="s", namespace="default")
    await node.client.create(Secret(metadata=meta, data={"password": b"s3cret\n", "key": b"k"}))
    await node.client.create(ConfigMap(metadata=ObjectMeta(name="m", namespace="default"), data={"page": "hello\n"}))
    items = [{"key": "key", "path": "deep/key", "mode": 0o400}]
    labels = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    volumes = [
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "items", "secret": {"secretName": "s", "items": items}},
        {"name": "map", "configMap": {"name": "m"}}, {"name": "down", "downwardAPI": {"items": labels}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}, {"name": "disk", "emptyDir": {}},
    ]  # fmt: skip
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    mounts.append({"name": "map", "mountPath": "/etc/page", "subPath": "page"})
    container = STAYS | {"volumeMounts": mounts, "securityContext": {"runAsUser": 65534}}
    pod = await node.create(container, volumes=volumes, metadata={"labels": {"app": "x"}})
    await node.status(running)
    assert await inside(node, "cat", "/secret/password", "/map/page", "/down/labels") == 's3cret\nhello\napp="x"'
    assert await inside(node, "cat", "/etc/page") == "hello\n"
    assert "ermission denied" in await inside(node, "cat", "/items/deep/key")  # 0400, and not its owner
    assert "Read-only" in await inside(node, "touch", "/secret/x")
    assert await inside(node, "sh", "-c", "echo 1 > /memory/x; echo 2 > /disk/x; cat /memory/x /disk/x") == "1\n2\n"
    size = await inside(node, "sh", "-c", "head -c 2000000 /dev/zero 2>/dev/null > /memory/big; wc -c < /memory/big")
    assert 900_000 < int(size) <= 1 << 20

    directory = tmp_path / "pods" / pod.metadata.uid
    assert mounts_below(directory) == {(name, "tmpfs") for name in ("secret", "items", "down", "memory")}
    assert stat.S_IMODE((tmp_path / "pods").stat().st_mode) == 0o700

    changed = copy(await node.client.get(Secret, "s", "default"))
    changed.data = {"password": b"new\n", "more": b""}
    await node.client.update(changed)

    async def arrived() -> bool:
        return await inside(node, "cat", "/secret/password") == "new\n"

    async def names() -> bool:  # the link of a key that is gone goes a moment after
        return sorted((await inside(node, "ls", "/secret")).split()) == ["more", "password"]

    await eventually(arrived, 20)
    assert await inside(node, "cat", "/secret/more") == ""  # the link of a new key was there before
    await eventually(names, 20)
    await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
    await node.gone()
    await eventually(lambda: not directory.exists(), 20)
    assert mounts_below(tmp_path) == set()


async def test_after_a_reboot_the_secret_is_there_again(node: OneNode, tmp_path: Path) -> None:
    """What was in memory is gone, and the containers have ended."""
    await node.client.create(Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"k": b"v"}))
    container = STAYS | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await node.create(container, volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    await node.status(running)
    await node.end_kubelet()
    await asyncio.to_thread(docker, "kill", *[c.id for c in await node.runtime.containers()])
    for mounted in LinuxMounts().below(tmp_path):
        LinuxMounts().end(mounted.path)
    node.start_kubelet()
    await node.status(lambda status: running(status) and status.container_statuses[0].restart_count == 1)
    assert await inside(node, "cat", "/v/k") == "v"


async def test_a_part_of_a_volume_that_containers_write_to(node: OneNode, tmp_path: Path) -> None:
    """Two containers, two parts; a link that leads out of the volume is not followed."""
    here = {"name": "v", "mountPath": "/v"}
    one = STAYS | {"volumeMounts": [here | {"subPath": "a/one"}]}
    all_of = STAYS | {"name": "d", "volumeMounts": [here]}
    pod = await node.create(one, all_of, volumes=[{"name": "v", "emptyDir": {}}])
    await node.status(lambda status: len(status.container_statuses) == 2 and all_running(status))
    assert await inside(node, "sh", "-c", "echo 1 > /v/x; ls /v") == "x\n"
    assert await inside(node, "cat", "/v/a/one/x", container="d") == "1\n"
    await inside(node, "sh", "-c", "rm -r /v/a; mkdir /v/a; ln -s /etc /v/a/one", container="d")
    directory = tmp_path / "pods" / pod.metadata.uid
    await node.create(
        one, volumes=[{"name": "v", "hostPath": {"path": f"{directory}/volumes/kubernetes.io~empty-dir/v"}}], name="bad"
    )
    why = "volume \"v\": subPath 'a/one': 'one' is a link, which could lead out of the volume"
    await node.told("failed", "spec.containers{c}", f"Error: {why}", "bad")
    for name in ("p", "bad"):
        await node.client.delete(Pod, name, "default", grace_period_seconds=0)
        await node.gone(name)
    await eventually(lambda: not directory.exists(), 20)
    assert mounts_below(tmp_path) == set()


async def test_a_git_repository(node: OneNode, tmp_path: Path) -> None:
    """A real clone, from a git daemon; the containers may write to it."""
    port = free_port()
    await asyncio.to_thread(_repository, tmp_path / "served" / "site")
    daemon = await asyncio.create_subprocess_exec(
        "git", "daemon", f"--port={port}", "--listen=127.0.0.1", "--export-all", f"--base-path={tmp_path}/served",
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        source = {"repository": f"git://127.0.0.1:{port}/site", "revision": "first"}
        container = STAYS | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        await eventually(lambda: _listens(port), 10)
        await node.create(container, volumes=[{"name": "v", "gitRepo": source}])
        await node.status(running)
        assert await inside(node, "cat", "/v/site/page") == "one"
        here = {"repository": f"git://127.0.0.1:{port}/site", "directory": "."}
        await node.create(container | {"name": "d"}, volumes=[{"name": "v", "gitRepo": here}], name="q")
        await node.status(running, "q")
        assert await inside(node, "cat", "/v/page", container="d") == "two"
    finally:
        os.killpg(daemon.pid, 15)
        await daemon.wait()


def _repository(path: Path) -> None:
    """Two commits; the first one is tagged."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    path.mkdir(parents=True)

    def git(*words: str) -> None:
        subprocess.run(["git", *identity, *words], cwd=path, check=True, capture_output=True, timeout=20)

    git("init")
    for number, tag in (("one", "first"), ("two", "second")):
        (path / "page").write_text(number)
        git("add", "page")
        git("commit", "-m", number)
        git("tag", tag)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_pod_talks_to_the_api_server_with_its_own_token(name: str, tmp_path: Path) -> None:
    """The whole way: certificates as machines get them, admission, the kubelet as its node and nothing more, files."""
    pki = Pki(tmp_path / "pki")
    await asyncio.to_thread(pki.ensure, read(Path(__file__).parents[2] / "cluster.json"))
    async with cluster_with_one_node(pki, name, tmp_path) as admin:
        spec = {"nodeName": name, "containers": [STAYS | {"name": "c"}]}
        await admin.create(Namespace(metadata=ObjectMeta(name="team")))
        await admin.create(msgspec.convert({"metadata": {"name": "p", "namespace": "team"}, "spec": spec}, Pod))

        async def runs() -> bool:
            return running((await admin.get(Pod, "p", "team")).status)

        await eventually(runs, 30)
        seen = await sees_in_pod(name)
        assert seen["namespace"] == "team"
        context = ssl.create_default_context(cadata=seen["ca.crt"])
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {seen['token']}"}) as session:
            for host in (seen["KUBERNETES_SERVICE_HOST"], "kubernetes", "kubernetes.default.svc.cluster.local"):
                for path, code in (("pods", 200), ("secrets", 403)):
                    url = f"{admin.base_url}/api/v1/namespaces/team/{path}"
                    async with session.get(url, ssl=context, server_hostname=host) as answer:
                        assert answer.status == code, await answer.text()
            whoami = f"{admin.base_url}/apis/authentication.k8s.io/v1/selfsubjectreviews"
            async with session.post(whoami, json={}, ssl=context, server_hostname="kubernetes") as answer:
                told = await answer.json()
                assert told["status"]["userInfo"]["username"] == "system:serviceaccount:team:default"


async def sees_in_pod(name: str) -> dict[str, str]:
    """What the pod's container finds: the three files, and the address of the API server in its environment."""
    runtime = Docker(SOCKET, name)
    try:
        (container,) = [c for c in await runtime.containers() if c.name == "c" and c.running]
        texts = {
            file: (await runtime.execute(container.id, ["cat", f"{TOKENS}/{file}"], 20)).output
            for file in ("token", "ca.crt", "namespace")
        }
        env = (await runtime.execute(container.id, ["env"], 20)).output.splitlines()
        return texts | dict(line.split("=", 1) for line in env)
    finally:
        await runtime.close()


@asynccontextmanager
async def cluster_with_one_node(pki: Pki, name: str, folder: Path) -> AsyncIterator[Client]:
    """An API server over TLS, the controllers and a kubelet on docker; an admin's client."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key").write_bytes(pem)
    (folder / "tokens").write_text(f"admin,admin,1,system:masters\nnode,system:node:{name},2,system:nodes\n")
    (folder / "abac.jsonl").write_text('{"group": "system:serviceaccounts:team", "resource": "pods", "readonly": true}')
    stem = str(pki.directory / "kube-apiserver")
    settings = Settings(
        tls_cert_file=f"{stem}.crt", tls_private_key_file=f"{stem}.key", client_ca_file=str(pki.directory / "ca.crt"),
        token_auth_file=str(folder / "tokens"), service_account_key_file=str(folder / "key"),
        tls_client_auth="optional", authorization_mode="Node,ABAC",
        authorization_policy_file=str(folder / "abac.jsonl"),
        admission_control="NamespaceLifecycle,ServiceAccount,NodeRestriction",
    )  # fmt: skip
    context = ssl.create_default_context(cafile=str(pki.directory / "ca.crt"))
    quiet = Tracer("test", io.StringIO())
    async with Server(Memory(), settings, quiet) as server:
        await server.start()
        async with (
            Client(server.base_url, context, "admin") as admin, Client(server.base_url, context, "node") as node,
        ):  # fmt: skip
            docker_ = Docker(SOCKET, name)
            chosen = KubeletSettings(node=name, root_dir=folder / "root", pause_image=PAUSE)
            manager = ControllerManager(admin, sign=signer(pem), root_ca=pki.certificate("ca"), trace=quiet)
            kubelet = Kubelet(node, docker_, chosen, mounts=LinuxMounts(), trace=quiet)
            tasks = [asyncio.create_task(each.run()) for each in (manager, kubelet)]
            try:
                yield admin
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await docker_.close()
