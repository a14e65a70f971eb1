"""Component statuses and self-reviews."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import ResourceRule
from labkit.components.kube_apiserver.authz import Rule
from labkit.components.kube_apiserver.component_statuses import ask, ask_store, checks, condition, statuses
from labkit.components.kube_apiserver.messages import Answer, Request, User
from labkit.components.kube_apiserver.reviews import rules_of
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.healthz import healthz
from labkit.storage.memory import Memory
from labkit.storage.protocol import StorageUnavailable
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.conftest import Http

ALICE, MASTER = User("alice", ("dev",)), User("admin", ("system:masters",))
POLICY = '{"user":"alice","resource":"pods","namespace":"team","readonly":true}\n{"group":"dev","resource":"events"}\n'


class Away(Memory):
    async def revision(self) -> int:
        raise StorageUnavailable("etcd does not answer")


def test_what_an_answer_means() -> None:
    assert (condition(200, "ok").status, condition(200, "ok").message) == ("True", "ok")
    assert (condition(500, "waits").status, condition(500, "waits").message) == ("False", "waits")


async def test_the_neighbours() -> None:
    async with healthz(0) as well, healthz(0, lambda: "waits for kube-apiserver") as ill:
        found = await statuses(checks(Memory(), {"controller-manager": ill, "scheduler": well}))
        health = {each.metadata.name: (each.conditions[0].status, each.conditions[0].message) for each in found}
    assert health == {
        "controller-manager": ("False", "waits for kube-apiserver"), "scheduler": ("True", "ok"),
        "etcd-0": ("True", '{"health": "true"}'),
    }  # fmt: skip
    gone = await ask(well)
    assert gone.status == "Unknown"
    assert f"Get http://127.0.0.1:{well}/healthz: " in gone.error
    assert (await ask_store(Away())).status == "False"


async def test_component_statuses_are_read_only(http: Http) -> None:
    listing = await http.got("/api/v1/componentstatuses")
    assert listing["kind"] == "ComponentStatusList"
    assert [item["metadata"]["name"] for item in listing["items"]] == ["controller-manager", "scheduler", "etcd-0"]
    one = await http.got("/api/v1/componentstatuses/etcd-0")
    assert one["conditions"] == [{"type": "Healthy", "status": "True", "message": '{"health": "true"}'}]
    assert (await http("GET", "/api/v1/componentstatuses/nope"))[0] == 404
    assert (await http("DELETE", "/api/v1/componentstatuses/etcd-0"))[0] == 405
    table = await http("GET", "/api/v1/componentstatuses", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [row["cells"][:2] for row in table[1]["rows"]][2] == ["etcd-0", "Healthy"]


def test_rules_are_the_lines_of_the_policy_that_are_mine() -> None:
    rules = [
        Rule(user="alice", resource="pods", namespace="team", readonly=True),
        Rule(user="bob", resource="secrets"),
        Rule(group="dev", resource="pods/status", verbs=["update"]),
        Rule(group="dev"),
    ]
    assert rules_of(ALICE, "team", rules) == [
        ResourceRule(
            verbs=["get", "list", "watch"],
            api_groups=[""],
            resources=["pods", "pods/binding", "pods/eviction", "pods/log", "pods/status"],
        ),
        ResourceRule(verbs=["update"], api_groups=[""], resources=["pods/status"]),
        ResourceRule(verbs=["*"], api_groups=[""], resources=["*"]),
    ]
    assert len(rules_of(ALICE, "other", rules)) == 2


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    (tmp_path / "abac.jsonl").write_text(POLICY)
    settings = Settings(authorization_mode="Node,ABAC", authorization_policy_file=str(tmp_path / "abac.jsonl"))
    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        yield server


async def review(server: Server, user: User, resource: str, group: str = "authorization.k8s.io", **spec: Any) -> Any:
    kind = {"selfsubjectaccessreviews": "SelfSubjectAccessReview", "selfsubjectrulesreviews": "SelfSubjectRulesReview"}
    body = {"kind": kind.get(resource, "SelfSubjectReview"), "apiVersion": f"{group}/v1", "spec": spec}
    if not spec:
        del body["spec"]
    path = f"/apis/{group}/v1/{resource}"
    answer = await server.handle(Request("POST", path, body=json.dumps(body).encode(), user=user))
    assert isinstance(answer, Answer)
    assert answer.status == 201, answer.body
    return json.loads(answer.body)["status"]


@pytest.mark.parametrize(
    ("user", "attributes", "allowed"),
    [
        (ALICE, {"verb": "get", "resource": "pods", "namespace": "team"}, True),
        (ALICE, {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "team"}, True),
        (ALICE, {"verb": "delete", "resource": "pods", "namespace": "team"}, False),
        (ALICE, {"verb": "get", "resource": "pods", "namespace": "default"}, False),
        (MASTER, {"verb": "*", "resource": "*"}, True),
        (
            User("system:node:a", ("system:nodes",)), {"verb": "update", "resource": "nodes", "name": "a"}, True,
        ),
        (
            User("system:node:a", ("system:nodes",)), {"verb": "update", "resource": "nodes", "name": "b"}, False,
        ),
    ],
)  # fmt: skip
async def test_may_i(server: Server, user: User, attributes: dict[str, str], allowed: bool) -> None:
    status = await review(server, user, "selfsubjectaccessreviews", resourceAttributes=attributes)
    assert status == {"allowed": True} if allowed else {"allowed": False, "reason": "No policy matched."}
    assert status["allowed"] is allowed


async def test_may_i_see_a_path(server: Server) -> None:
    asked = {"path": "/metrics", "verb": "get"}
    assert (await review(server, ALICE, "selfsubjectaccessreviews", nonResourceAttributes=asked))["allowed"] is True


async def test_what_may_i(server: Server) -> None:
    mine = await review(server, ALICE, "selfsubjectrulesreviews", namespace="team")
    assert [rule["resources"] for rule in mine["resourceRules"]] == [
        ["pods", "pods/binding", "pods/eviction", "pods/log", "pods/status"],
        ["events"],
    ]
    assert mine["nonResourceRules"] == [{"verbs": ["get"], "nonResourceURLs": ["*"]}]
    assert mine["incomplete"] is False
    everything = await review(server, MASTER, "selfsubjectrulesreviews", namespace="team")
    assert everything["resourceRules"] == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


async def test_who_am_i(server: Server) -> None:
    status = await review(server, ALICE, "selfsubjectreviews", "authentication.k8s.io")
    assert status == {"userInfo": {"username": "alice", "groups": ["dev"]}}


async def test_a_review_must_ask_something(server: Server) -> None:
    path, kind = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "SelfSubjectAccessReview"
    body = json.dumps({"kind": kind, "apiVersion": "authorization.k8s.io/v1", "spec": {}}).encode()
    answer = await server.handle(Request("POST", path, body=body, user=ALICE))
    assert isinstance(answer, Answer)
    assert answer.status == 400
    answer = await server.handle(Request("GET", path, user=ALICE))
    assert isinstance(answer, Answer)
    assert answer.status == 405


@pytest.mark.parametrize("resource", ["daemonsets", "deployments", "replicasets"])
async def test_kinds_of_later_are_none_and_not_shown(http: Http, resource: str) -> None:
    """kubectl cluster-info dump asks for them, and create -f, whatever discovery says."""
    listed = await http.got(f"/apis/apps/v1/namespaces/default/{resource}")
    assert (listed["apiVersion"], listed["items"]) == ("apps/v1", [])
    assert listed["kind"].lower() == f"{resource[:-1]}list"
    assert (await http("POST", f"/apis/apps/v1/namespaces/default/{resource}", {}))[0] == 404
    code, status = await http("GET", f"/apis/apps/v1/namespaces/default/{resource}/x")
    assert (code, status["reason"], status["details"]) == (404, "NotFound", {})  # kubectl debug wants them there
    assert "apps" not in json.dumps(await http.got("/apis"))
    definitions = await http.got("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert (definitions["apiVersion"], definitions["items"]) == ("apiextensions.k8s.io/v1", [])


async def test_endpoint_slices_are_endpoints_in_another_form(http: Http) -> None:
    ready, other = {"ip": "10.244.2.5", "targetRef": {"kind": "Pod", "name": "a"}}, {"ip": "10.244.2.6"}
    subsets = [
        {"addresses": [ready], "notReadyAddresses": [other], "ports": [{"port": 6379, "name": "redis"}]},
        {"addresses": [other], "ports": [{"port": 9, "protocol": "UDP"}]},
    ]
    meta = {"name": "web", "labels": {"app": "web"}}
    await http.made("/api/v1/namespaces/default/endpoints", {"metadata": meta, "subsets": subsets})
    await http.made("/api/v1/namespaces/default/endpoints", {"metadata": {"name": "empty"}})
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    listed = await http.got(f"{path}?labelSelector=kubernetes.io/service-name%3Dweb")
    assert (listed["kind"], listed["apiVersion"]) == ("EndpointSliceList", "discovery.k8s.io/v1")
    by_port = {one["ports"][0]["port"]: one for one in listed["items"]}
    redis = by_port[6379]
    assert [(one["addresses"], one["conditions"]["ready"]) for one in redis["endpoints"]] == [
        (["10.244.2.5"], True), (["10.244.2.6"], False)]  # fmt: skip
    assert redis["endpoints"][0]["targetRef"] == ready["targetRef"]
    assert redis["ports"] == [{"name": "redis", "port": 6379, "protocol": "TCP"}]
    assert redis["metadata"]["labels"]["app"] == "web"
    assert by_port[9]["ports"] == [{"name": "", "port": 9, "protocol": "UDP"}]
    assert await http.got(f"{path}/{redis['metadata']['name']}") == redis
    names = {one["metadata"]["name"] for one in (await http.got(path))["items"]}
    assert names >= {"web-1", "web-2"}
    assert not any(name.startswith("empty") for name in names)
    assert (await http.got(f"{path}?fieldSelector=metadata.name%3Dweb-2"))["items"][0]["metadata"]["name"] == "web-2"
    everywhere = await http.got("/apis/discovery.k8s.io/v1/endpointslices")
    assert "kubernetes-1" in {one["metadata"]["name"] for one in everywhere["items"]}
    assert (await http("GET", f"{path}/nope"))[0] == 404
    assert (await http("POST", path, {}))[0] == 405
    assert (await http("GET", f"{path}/web-1?watch=true"))[0] == 405


async def test_endpoint_slices_are_watched(http: Http) -> None:
    endpoints = "/api/v1/namespaces/default/endpoints"
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

    def subset(port: int, *ips: str) -> dict[str, Any]:
        return {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": port}]}

    async def put(*subsets: dict[str, Any], name: str = "web", labels: dict[str, str] | None = None) -> None:
        body = {"metadata": {"name": name, "labels": labels or {}}, "subsets": subsets}
        assert (await http("PUT", f"{endpoints}/{name}", body))[0] in (200, 201)

    since = (await http.got(path))["metadata"]["resourceVersion"]
    await put(subset(80, "10.244.2.5"), subset(81, "10.244.2.6"))
    await put(subset(80, "10.244.2.7"), subset(81, "10.244.2.6"))
    await put(subset(80, "10.244.2.7"))
    await put(subset(9, "10.244.3.3"), name="other", labels={"app": "other"})
    await put(subset(9, "10.244.3.3"), name="other", labels={"app": "other", "more": "x"})
    await http("DELETE", f"{endpoints}/web")

    async def told(query: str) -> list[tuple[str, str]]:
        frames = await http.frames(f"{path}?watch=true&timeoutSeconds=1&{query}")
        return [(type, one["metadata"]["name"]) for type, one in frames]

    everything = [("ADDED", "web-1"), ("ADDED", "web-2"), ("MODIFIED", "web-1"), ("DELETED", "web-2"),
                  ("ADDED", "other-1"), ("MODIFIED", "other-1"), ("DELETED", "web-1")]  # fmt: skip
    assert await told(f"resourceVersion={since}") == everything
    assert await told(f"resourceVersion={since}&fieldSelector=metadata.name%3Dweb-2") == [everything[1], everything[3]]
    assert await told(f"resourceVersion={since}&labelSelector=more%3Dx") == [("ADDED", "other-1")]
    assert ("ADDED", "other-1") in await told("")  # begins with what is there
    frames = await http.frames(f"{path}?watch=true&timeoutSeconds=1&resourceVersion={since}")
    revisions = [int(one["metadata"]["resourceVersion"]) for _, one in frames]
    assert revisions == sorted(revisions)
    assert frames[0][1]["kind"] == "EndpointSlice"
