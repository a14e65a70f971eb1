"""Which container, which node, which parameters: the way of `kubectl logs`."""

import pytest

from labkit.api.errors import BadRequest
from labkit.api.types import Container, Node, NodeAddress, NodeStatus, ObjectMeta, Pod, PodSpec
from labkit.components.kube_apiserver.kubelets import chosen_container, log_query, node_address
from labkit.components.kube_apiserver.messages import Request

from .conftest import PODS, Http, pod


def pod_of(*names: str) -> Pod:
    return Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(containers=[Container(name=name) for name in names]))


def test_the_only_container_needs_no_name() -> None:
    assert chosen_container(pod_of("a"), "") == "a"
    assert chosen_container(pod_of("a", "b"), "b") == "b"


def test_of_several_one_must_be_named() -> None:
    with pytest.raises(BadRequest, match=r"a container name must be specified for pod p, choose one of: \[a b\]"):
        chosen_container(pod_of("a", "b"), "")
    with pytest.raises(BadRequest, match="container c is not valid for pod p"):
        chosen_container(pod_of("a", "b"), "c")


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([("Hostname", "h"), ("InternalIP", "10.0.0.1"), ("ExternalIP", "1.2.3.4")], "10.0.0.1"),
        ([("Hostname", "h"), ("LegacyHostIP", "10.0.0.2")], "10.0.0.2"),
        ([], "agent1"),
    ],
)
def test_node_address(addresses: list[tuple[str, str]], expected: str) -> None:
    listed = [NodeAddress(type=type, address=address) for type, address in addresses]
    assert node_address(Node(metadata=ObjectMeta(name="agent1"), status=NodeStatus(addresses=listed))) == expected


def test_parameters() -> None:
    query = {"follow": "true", "tailLines": "5", "timestamps": "false", "previous": "1", "other": "x", "container": "c"}
    assert log_query(Request("GET", "/", query)) == {"follow": "true", "tailLines": "5", "previous": "true"}
    with pytest.raises(BadRequest, match="tailLines"):
        log_query(Request("GET", "/", {"tailLines": "-1"}))
    with pytest.raises(BadRequest, match='sinceTime: parsing time "yesterday"'):
        log_query(Request("GET", "/", {"sinceTime": "yesterday"}))


async def test_refusals_over_http(http: Http) -> None:
    await http.made(PODS, pod())
    assert (await http("GET", f"{PODS}/p1/log"))[1]["message"] == "pod p1 does not have a host assigned"
    assert (await http("POST", f"{PODS}/p1/log"))[0] == 405
    await http("POST", f"{PODS}/p1/binding", {"target": {"name": "gone"}})
    assert (await http("GET", f"{PODS}/p1/log"))[:1] == (404,)
    node = {"apiVersion": "v1", "metadata": {"name": "gone"}, "status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}  # fmt: skip
    await http.made("/api/v1/nodes", node)
    code, status = await http("GET", f"{PODS}/p1/log")
    assert (code, status["reason"]) == (500, "InternalError")
    assert status["message"].startswith('Get "http://127.0.0.1:10250/containerLogs/default/p1/c": ')
