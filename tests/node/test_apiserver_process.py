"""kube-apiserver as a machine runs it: who gets in, and what survives which failure."""

import asyncio
import http.client
import json
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from labkit.api.errors import ApiError, Forbidden, NotFound, ServerUnavailable, Unauthorized
from labkit.api.types import Container, Event, Node, ObjectMeta, Pod, PodSpec, Service
from labkit.client.events import EventRecorder
from labkit.client.rest import Client
from labkit.testing.eventually import eventually
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer


@pytest.fixture
def server(tmp_path: Path, etcd: EtcdServer, authority: Authority) -> Iterator[ApiServer]:
    with api_server(tmp_path, etcd, authority) as server:
        yield server


def admin(server: ApiServer) -> Client:
    return Client(server.url, server.context("admin", "system:masters"))


def pod(name: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default"),
               spec=PodSpec(containers=[Container(name="c", image="i")]))  # fmt: skip


@pytest.mark.cis("1.2.25")
def test_without_a_certificate_tls_does_not_come_about(server: ApiServer, tmp_path: Path) -> None:
    for context in (ssl.create_default_context(cafile=str(server.authority.ca)), _strangers(server, tmp_path)):
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=5)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _ask(connection)
        connection.close()


def _ask(connection: http.client.HTTPSConnection) -> None:
    connection.request("GET", "/version")
    connection.getresponse()


def _strangers(server: ApiServer, tmp_path: Path) -> ssl.SSLContext:
    """A certificate that another CA gave to "admin"."""
    (tmp_path / "other").mkdir()
    context = ssl.create_default_context(cafile=str(server.authority.ca))
    context.load_cert_chain(*Authority(tmp_path / "other").issue("admin", "system:masters"))
    return context


@pytest.mark.cis("1.2.1")
async def test_where_certificates_are_optional_nobody_is_unauthorized(
    tmp_path: Path, etcd: EtcdServer, authority: Authority
) -> None:
    with api_server(tmp_path, etcd, authority, flags=("--tls-client-auth=optional",)) as server:
        async with Client(server.url, ssl.create_default_context(cafile=str(authority.ca))) as client:
            with pytest.raises(Unauthorized):
                await client.list(Pod)


async def test_a_token_lets_in_whoever_has_no_certificate(
    tmp_path: Path, etcd: EtcdServer, authority: Authority
) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("s3cret,reader,1\n")
    log = tmp_path / "audit.log"
    with api_server(
        tmp_path, etcd, authority, flags=(f"--token-auth-file={tokens}", f"--audit-log-path={log}")
    ) as server:
        context = ssl.create_default_context(cafile=str(authority.ca))
        async with Client(server.url, context, token="s3cret") as reader:
            assert (await reader.list(Pod)).items == []
            with pytest.raises(Forbidden, match='User "reader" cannot list resource "services"'):
                await reader.list(Service)
        async with Client(server.url, context, token="guessed") as stranger:
            with pytest.raises(Unauthorized):
                await stranger.list(Pod)
        async with admin(server) as client:  # a certificate counts as before
            await client.create(pod("p"))
    text = log.read_text() + server.log.read_text()
    assert "s3cret" not in text
    assert "guessed" not in text


async def test_the_policy_decides(server: ApiServer) -> None:
    async with Client(server.url, server.context("reader")) as reader:
        assert (await reader.list(Pod)).items == []
        with pytest.raises(Forbidden, match='User "reader" cannot create resource "pods" in the namespace'):
            await reader.create(pod("p"))
        with pytest.raises(Forbidden, match='cannot list resource "services" at the cluster scope'):
            await reader.list(Service)


async def test_a_kubelet_writes_what_is_its_own_nodes(server: ApiServer) -> None:
    async with (
        admin(server) as client,
        Client(server.url, server.context("system:node:n1", "system:nodes")) as kubelet,
        Client(server.url, server.context("system:node:n2", "system:nodes")) as other,
    ):
        node = await kubelet.create(Node(metadata=ObjectMeta(name="n1")))
        with pytest.raises(Forbidden, match='node "n2" is not allowed to modify node "n1"'):
            await other.create(Node(metadata=ObjectMeta(name="n1")))
        with pytest.raises(Forbidden):
            await other.update_status(node)
        node = await kubelet.update_status(node)
        await client.create(pod("mine"))
        await client.bind(pod("mine"), "n1")
        mine = await kubelet.get(Pod, "mine", "default")
        with pytest.raises(Forbidden):
            await other.update_status(mine)
        await kubelet.update_status(mine)
        with pytest.raises(Forbidden):
            await other.delete(Pod, "mine", "default")
        await kubelet.delete(Pod, "mine", "default", grace_period_seconds=0)
        with pytest.raises(NotFound):
            await kubelet.delete(Pod, "mine", "default", grace_period_seconds=0)


async def test_etcd_away_is_503_and_back_again_heals(server: ApiServer, etcd: EtcdServer) -> None:
    async with admin(server) as client:
        made = await client.create(pod("kept"))
        await asyncio.to_thread(etcd.stop)
        for attempt in (client.create(pod("lost")), client.get(Pod, "kept", "default"), client.list(Pod)):
            with pytest.raises(ServerUnavailable):
                await attempt
        await asyncio.to_thread(etcd.start)

        async def healed() -> bool:
            try:
                return await client.get(Pod, "kept", "default") == made
            except ApiError:
                return False

        await eventually(healed, 60, expect="etcd's pod again")
        watch = client.watch(Pod, "default", resource_version=made.metadata.resource_version)
        after = await client.create(pod("after"))
        async with asyncio.timeout(10):
            assert (await anext(watch)).object == after
        await watch.aclose()


async def test_killed_and_started_again_nothing_acknowledged_is_lost(server: ApiServer) -> None:
    async with admin(server) as client:
        made = [await client.create(pod(f"p{n}")) for n in range(20)]
        ip = (await client.get(Service, "kubernetes", "default")).spec.cluster_ip
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await asyncio.to_thread(server.start)
    async with admin(server) as client:
        found = {item.metadata.name: item for item in (await client.list(Pod)).items}
        assert found == {item.metadata.name: item for item in made}
        assert (await client.get(Service, "kubernetes", "default")).spec.cluster_ip == ip == "10.0.0.1"


async def test_terminated_it_ends_its_watches_and_exits_0(server: ApiServer) -> None:
    async with admin(server) as client:
        watch = client.watch(Pod, "default")
        await client.create(pod("p"))
        await anext(watch)
        assert await asyncio.to_thread(server.stop) == 0
        with pytest.raises((StopAsyncIteration, ApiError)):
            await anext(watch)
        await watch.aclose()
    assert "Traceback" not in server.log.read_text()


async def test_two_servers_on_one_etcd_never_read_stale(
    server: ApiServer, tmp_path: Path, etcd: EtcdServer, authority: Authority
) -> None:
    with api_server(tmp_path, etcd, authority, flags=("--apiserver-count=2",)) as second:
        async with admin(server) as one, admin(second) as two:
            for n in range(100):
                made = await one.create(pod(f"p{n}"))
                assert await two.get(Pod, f"p{n}", "default") == made
                made.metadata.labels = {"n": str(n)}
                changed = await two.update(made)
                assert await one.get(Pod, f"p{n}", "default") == changed
            assert len((await two.list(Pod)).items) == 100


@pytest.mark.parametrize(
    ("flag", "code", "message"),
    [
        ("--service-cluster-ip-range=10.0.0.0", 2, "--service-cluster-ip-range"),
        ("--client-ca-file=/no/such", 2, "--client-ca-file: no such file"),
        ("--tls-cert-file={file}", 2, "--client-ca-file: "),
        ("--kubelet-client-key={file}", 2, "--kubelet-client-key: "),
        ("--authorization-policy-file={file}", 2, "file:1: expected one JSON object"),
        ("--nope", 2, "unrecognized arguments: --nope"),
        ("--bind-address=192.0.2.1", 3, "cannot listen on 192.0.2.1:"),
    ],
)
def test_wrong_flags_say_what_is_wrong(
    tmp_path: Path, etcd: EtcdServer, authority: Authority, flag: str, code: int, message: str
) -> None:
    (tmp_path / "file").write_text("nonsense\n")
    command = [*ApiServer(tmp_path, etcd, authority).command(), flag.format(file=tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_event_expires_with_its_lease(tmp_path: Path, etcd: EtcdServer, authority: Authority) -> None:
    with api_server(tmp_path, etcd, authority, flags=("--event-ttl=1s",)) as server:
        async with admin(server) as client:
            about = await client.create(pod("p"))
            recorder = EventRecorder(client, "test")
            recorder.event(about, "tested", "a word about it")
            start = about.metadata.resource_version
            async with aclosing(client.watch(Event, resource_version=start)) as watch, asyncio.timeout(60):
                await recorder.flush()
                assert [(await anext(watch)).type for _ in range(2)] == ["ADDED", "DELETED"]
            assert (await client.list(Event)).items == []
            assert await client.get(Pod, "p", "default"), "what it was about stays"


async def test_every_change_is_one_line_of_the_log(server: ApiServer) -> None:
    async with admin(server) as client:
        made = await client.create(pod("p"))
        await client.bind(made, "n1")
        await client.delete(Pod, "p", "default")
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    about = [line for line in lines if line.get("object") == "pods/default/p"]
    assert [line["decision"] for line in about] == ["created", "bound", "deleted"]
    assert {line["uid"] for line in about} == {made.metadata.uid}
    assert about[0]["resourceVersion"] == made.metadata.resource_version
    assert "admin" in about[0]["cause"]
