"""The policy that machines get is enough for every component: a cluster in which each is who it is on a machine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import labkit
from labkit.api.errors import Forbidden, NotFound
from labkit.api.types import Namespace, Node, ObjectMeta, Pod, Secret
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_controller_manager.tokens import signer
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.kubelet import Kubelet
from labkit.components.kubelet.settings import Settings as KubeletSettings
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.cluster.objects import rc, service

POLICY = Path(labkit.__file__).parent / "templates" / "abac.jsonl"
USERS = """admin,admin,1,system:masters
manager,system:kube-controller-manager,2
scheduler,system:kube-scheduler,3
agent1,system:node:agent1,4,system:nodes
agent2,system:node:agent2,5,system:nodes
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Everything runs, each component by a token of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "tokens").write_text(USERS)
    settings = Settings(
        service_account_key_file=str(tmp_path / "key"), token_auth_file=str(tmp_path / "tokens"),
        authorization_mode="Node,ABAC", authorization_policy_file=str(POLICY),
        admission_control="NamespaceLifecycle,NamespaceExists,LimitRanger,ServiceAccount,NodeRestriction,ResourceQuota",
    )  # fmt: skip
    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        async with (
            Client(server.base_url, token="manager") as manager,
            Client(server.base_url, token="scheduler") as scheduler,
            Client(server.base_url, token="agent1") as agent1,
            Client(server.base_url, token="agent2") as agent2,
        ):
            kubelets = [
                Kubelet(
                    client, FakeRuntime(name, subnet=number), KubeletSettings(node=name, root_dir=tmp_path / name),
                    mounts=FakeMounts(),
                )
                for number, (name, client) in enumerate({"agent1": agent1, "agent2": agent2}.items(), 2)
            ]  # fmt: skip
            runs = [ControllerManager(manager, sign=signer(pem)).run(), Scheduler(scheduler).run()]
            tasks = [asyncio.create_task(run) for run in (*runs, *(kubelet.run() for kubelet in kubelets))]
            yield server
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_component_may_do_its_work(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async with Client(server.base_url, token="admin") as admin:
        await admin.create(Namespace(metadata=ObjectMeta(name="team")))
        for obj in (rc(4), service("redis")):
            obj.metadata.namespace = "team"
            await admin.create(obj)

        async def all_run() -> bool:
            pods = (await admin.list(Pod, "team")).items
            return len(pods) == 4 and all(pod.status.phase == "Running" for pod in pods)

        await eventually(all_run, 15, expect="four pods run")
        assert {pod.spec.node_name for pod in (await admin.list(Pod, "team")).items} == {"agent1", "agent2"}
        assert [secret.type for secret in (await admin.list(Secret, "team")).items] == [
            "kubernetes.io/service-account-token"
        ]
        assert len(list(tmp_path.glob("agent*/pods/*/volumes/kubernetes.io~secret/default-token-*/token"))) == 4

        await admin.delete(Namespace, "team")

        async def gone() -> bool:
            try:
                await admin.get(Namespace, "team")
            except NotFound:
                return True
            return False

        await eventually(gone, 15, expect="team is gone")
    refused = [line for line in capsys.readouterr().out.splitlines() if "is forbidden" in line and "cannot" in line]
    assert refused == []


async def test_a_kubelet_cannot_write_the_other_node(server: Server) -> None:
    async with Client(server.base_url, token="agent1") as agent1:

        async def there() -> Node | None:
            try:
                return await agent1.get(Node, "agent2")
            except NotFound:
                return None

        node = await eventually(there, 5, expect="agent2 has registered itself")
        with pytest.raises(Forbidden):
            await agent1.update_status(node)  # type: ignore[type-var]
