"""Accounts and tokens of a new namespace, and what a token is worth at the API server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit.api.errors import Forbidden, NotFound, Unauthorized
from labkit.api.types import Namespace, ObjectMeta, Pod, Secret, ServiceAccount
from labkit.client.rest import Client
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_controller_manager.main import ControllerManager
from labkit.components.kube_controller_manager.tokens import signer
from labkit.storage.memory import Memory
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.cluster.objects import pod


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """An API server and the controllers, which share a key; the account robot of team may read pods."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "abac.jsonl").write_text(
        '{"user":"system:serviceaccount:team:robot","resource":"pods","namespace":"team","readonly":true}\n'
    )
    settings = Settings(
        service_account_key_file=str(tmp_path / "key"), admission_control="NamespaceLifecycle,ServiceAccount",
        authorization_mode="ABAC", authorization_policy_file=str(tmp_path / "abac.jsonl"),
    )  # fmt: skip
    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        async with Client(server.base_url) as client:
            manager = asyncio.create_task(ControllerManager(client, sign=signer(pem), root_ca=b"CA").run())
            yield server
            manager.cancel()
            await asyncio.wait([manager])


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with Client(server.base_url) as client:
        await client.create(Namespace(metadata=ObjectMeta(name="team")))
        yield client


async def token_of(client: Client, name: str, but: str = "") -> Secret:
    """The secret that the account refers to, once it is there; another one than `but`."""

    async def found() -> Secret | None:
        try:
            account = await client.get(ServiceAccount, name, "team")
            names = [reference.name for reference in account.secrets if reference.name != but]
            return await client.get(Secret, names[0], "team") if names else None
        except NotFound:
            return None

    return await eventually(found, 5, expect=f"a token of {name}")  # type: ignore[return-value]


async def test_a_new_namespace_runs_pods_at_once(client: Client) -> None:
    given = pod("p")
    given.metadata.namespace = "team"
    made = await client.create(given)  # the admission plug-in waits for the controllers
    assert made.spec.service_account_name == "default"
    secret = await token_of(client, "default")
    assert set(secret.data) == {"token", "ca.crt", "namespace"}


async def test_what_a_token_is_worth(server: Server, client: Client) -> None:
    await client.create(ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team")))
    secret = await token_of(client, "robot")
    async with Client(server.base_url, token=secret.data["token"].decode()) as robot:
        assert (await robot.list(Pod, "team")).items == []
        with pytest.raises(Forbidden, match='User "system:serviceaccount:team:robot" cannot list resource "secrets"'):
            await robot.list(Secret, "team")

        await client.delete(Secret, secret.metadata.name, "team")
        new = await token_of(client, "robot", but=secret.metadata.name)
        with pytest.raises(Unauthorized):
            await robot.list(Pod, "team")
    account = await client.get(ServiceAccount, "robot", "team")
    assert [reference.name for reference in account.secrets] == [new.metadata.name]

    await client.delete(ServiceAccount, "robot", "team")

    async def gone() -> bool:
        return not [each for each in (await client.list(Secret, "team")).items if "robot" in each.metadata.name]

    await eventually(gone, 5, expect="the account's secret is gone")


async def test_one_token_each_however_busy(client: Client) -> None:
    for number in range(10):
        await client.create(ServiceAccount(metadata=ObjectMeta(name=f"a{number}", namespace="team")))
    for number in range(10):
        await token_of(client, f"a{number}")
    secrets = (await client.list(Secret, "team")).items
    assert len(secrets) == 11  # and that of default


async def test_a_deleted_namespace_takes_accounts_and_tokens_along(client: Client) -> None:
    await token_of(client, "default")
    await client.delete(Namespace, "team")

    async def gone() -> bool:
        names = [each.metadata.name for each in (await client.list(Namespace)).items]
        return "team" not in names

    await eventually(gone, 10, expect="the namespace is gone")
    assert (await client.list(Secret, "team")).items == []
    assert (await client.list(ServiceAccount, "team")).items == []
