"""What a kubelet may do: with literals, and at a server whose users are given."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest

from labkit.api.errors import Forbidden
from labkit.api.types import (
    ConfigMapVolumeSource,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    Node,
    ObjectMeta,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodSpec,
    SecretEnvSource,
    SecretKeySelector,
    SecretVolumeSource,
    Volume,
)
from labkit.components.kube_apiserver.admission import node_restriction
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.messages import Answer, Request, User
from labkit.components.kube_apiserver.node_authorizer import MIRROR, allows, references
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.admission.view import Literals, asked, pod

AGENT1 = User("system:node:agent1", ("system:nodes",))
AGENT2 = User("system:node:agent2", ("system:nodes",))
ADMIN = User("admin", ("system:masters",))

SECRETIVE = Pod(
    metadata=ObjectMeta(name="mine", namespace="default"),
    spec=PodSpec(
        node_name="agent1",
        image_pull_secrets=[LocalObjectReference(name="pull")],
        volumes=[
            Volume(name="a", secret=SecretVolumeSource(secret_name="mounted")),
            Volume(name="b", config_map=ConfigMapVolumeSource(name="settings")),
            Volume(name="c", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name="disk")),
        ],
        containers=[
            Container(
                env=[EnvVar(name="X", value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name="one")))],
                env_from=[EnvFromSource(secret_ref=SecretEnvSource(name="all"))],
            )
        ],
    ),
)


def pods_of(node: str, namespace: str, name: str) -> Sequence[Pod]:
    return [SECRETIVE] if (node, namespace) == ("agent1", "default") and name in ("", "mine") else []


@pytest.mark.parametrize(
    ("user", "verb", "resource", "name", "expected"),
    [
        (AGENT1, "list", "pods", "", True),
        (AGENT1, "watch", "services", "", True),
        (AGENT1, "get", "nodes", "agent2", True),
        (AGENT1, "create", "nodes", "", True),
        (AGENT1, "update", "nodes", "agent1", True),
        (AGENT1, "patch", "nodes/status", "agent1", True),
        (AGENT1, "update", "nodes/status", "agent2", False),
        (AGENT1, "update", "nodes", "agent2", False),
        (AGENT1, "delete", "nodes", "agent1", False),
        (AGENT1, "update", "pods/status", "mine", True),
        (AGENT2, "update", "pods/status", "mine", False),
        (AGENT1, "delete", "pods", "mine", True),
        (AGENT2, "delete", "pods", "mine", False),
        (AGENT1, "deletecollection", "pods", "", False),
        (AGENT1, "update", "pods", "mine", False),
        (AGENT1, "create", "pods", "", True),
        (AGENT1, "create", "pods/binding", "mine", False),
        (AGENT1, "create", "pods/exec", "mine", False),
        (AGENT1, "create", "events", "", True),
        (AGENT1, "delete", "events", "e", False),
        (AGENT1, "get", "secrets", "mounted", True),
        (AGENT2, "get", "secrets", "mounted", False),
        (AGENT1, "get", "secrets", "other", False),
        (AGENT1, "get", "configmaps", "mounted", False),
        (AGENT1, "get", "configmaps", "settings", True),
        (AGENT1, "update", "secrets", "mounted", False),
        (AGENT1, "list", "secrets", "", False),
        (User("system:node:agent1"), "list", "pods", "", False),
        (User("agent1", ("system:nodes",)), "list", "pods", "", False),
    ],
)
def test_decisions(user: User, verb: str, resource: str, name: str, expected: bool) -> None:
    assert allows(Attributes(user, verb, "default", resource, "", name), pods_of) is expected


def test_everything_that_a_pod_refers_to() -> None:
    assert set(references(SECRETIVE)) == {
        ("secrets", "pull"), ("secrets", "mounted"), ("secrets", "one"), ("secrets", "all"),
        ("configmaps", "settings"), ("persistentvolumeclaims", "disk"),
    }  # fmt: skip


def test_a_node_registers_itself_only() -> None:
    own = Node(metadata=ObjectMeta(name="agent1"))
    assert node_restriction.admit(asked(own, user=AGENT1), Literals()) is own
    assert node_restriction.admit(asked(own, user=ADMIN), Literals()) is own
    with pytest.raises(Forbidden, match='"agent2" is not allowed to modify node "agent1"'):
        node_restriction.admit(asked(own, user=AGENT2), Literals())


def test_a_node_makes_no_pods_but_mirrors() -> None:
    """And those are bound to it and refer to no secret, which it could read then."""
    picture = Pod(metadata=ObjectMeta(name="p", annotations={MIRROR: "uid"}), spec=PodSpec(node_name="agent1"))
    assert node_restriction.admit(asked(picture, user=AGENT1), Literals()) is picture
    with pytest.raises(Forbidden, match=r'node "agent2" can only create pods with spec.nodeName set to itself'):
        node_restriction.admit(asked(picture, user=AGENT2), Literals())
    with pytest.raises(Forbidden, match=r'pod does not have "kubernetes.io/config.mirror" annotation'):
        node_restriction.admit(asked(pod("p"), user=AGENT1), Literals())
    SECRETIVE.metadata.annotations = {MIRROR: "uid"}
    with pytest.raises(Forbidden, match=r'can not create pods that reference secrets \("pull"\)'):
        node_restriction.admit(asked(SECRETIVE, user=AGENT1), Literals())
    by_people = pod("p")
    assert node_restriction.admit(asked(by_people, user=ADMIN), Literals()) is by_people


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    settings = Settings(authorization_mode="Node", admission_control="NodeRestriction")
    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        yield server


async def code(server: Server, user: User, method: str, path: str, body: object = None) -> int:
    sent = json.dumps(body).encode() if body else b""
    answer = await server.handle(Request(method, f"/api/v1/{path}", body=sent, user=user))
    assert isinstance(answer, Answer)
    return answer.status


def node(name: str) -> dict[str, object]:
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}}


async def test_at_the_server(server: Server) -> None:
    assert await code(server, AGENT1, "POST", "nodes", node("agent1")) == 201
    assert await code(server, AGENT2, "POST", "nodes", node("agent3")) == 403
    assert await code(server, AGENT2, "PUT", "nodes/agent1", node("agent1")) == 403
    assert await code(server, AGENT1, "PUT", "nodes/agent1/status", node("agent1")) == 200
    spec = {"nodeName": "agent1", "containers": [{"name": "c", "image": "i"}]}
    mine = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "mine"}, "spec": spec}
    pods = "namespaces/default/pods"
    assert await code(server, AGENT1, "POST", pods, mine) == 403
    mirror = mine | {"metadata": {"name": "static-agent1", "annotations": {MIRROR: "uid"}}}
    assert await code(server, AGENT2, "POST", pods, mirror) == 403
    assert await code(server, AGENT1, "POST", pods, mirror) == 201
    assert await code(server, ADMIN, "POST", pods, mine) == 201
    assert await code(server, AGENT2, "PUT", f"{pods}/mine/status", mine) == 403
    assert await code(server, AGENT1, "PUT", f"{pods}/mine/status", mine) == 200
    assert await code(server, AGENT2, "DELETE", f"{pods}/mine") == 403
    assert await code(server, AGENT1, "DELETE", f"{pods}/mine") == 200
    assert await code(server, AGENT1, "DELETE", f"{pods}/mine") == 404
    assert await code(server, User("somebody"), "GET", pods) == 403
