"""Good objects with a few parts made bad, by the thousand: always an answer, never a 5xx, and lists stay readable."""

import copy
import json
import random
from typing import Any

import pytest

from labkit.components.kube_apiserver.messages import Answer, Request
from labkit.components.kube_apiserver.server import TESTER, Server

JUNK: list[Any] = [
    None, True, 0, -1, 70000, 2**31, 2**63, 10**30, 1.5, 1e308, "", "a", "A_b", "x" * 300, "10.0.0.5", "None", "\x00",
    "é", "1Gi", "99999999999999E", "-5", [], {}, [None], [{}], {"": ""}, {"a": None}, [[]], "NodePort", "TCP",
    {"name": "x"},
]  # fmt: skip

POD_SPEC: dict[str, Any] = {
    "containers": [{
        "name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 1, "protocol": "TCP", "name": "n"}],
        "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "1"}}, "volumeMounts": [{"name": "v", "mountPath": "/x"}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}}, "securityContext": {"privileged": False},
    }],
    "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {"a": "b"}, "restartPolicy": "Always",
    "activeDeadlineSeconds": 1,
}  # fmt: skip
NAMESPACED = "/api/v1/namespaces/default"
RUNNING = {"name": "c", "state": {"running": {"startedAt": "2020-01-01T00:00:00Z"}}}
OBJECTS: dict[str, dict[str, Any]] = {
    f"{NAMESPACED}/pods": {"metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": POD_SPEC,
                           "status": {"phase": "Running", "containerStatuses": [RUNNING]}},
    f"{NAMESPACED}/services": {"metadata": {"name": "x"}, "spec": {
        "ports": [{"port": 80, "targetPort": 80, "nodePort": 30001, "name": "a", "protocol": "TCP"}],
        "type": "NodePort", "clusterIP": "10.0.0.9", "selector": {"a": "b"}, "sessionAffinity": "ClientIP"}},
    f"{NAMESPACED}/replicationcontrollers": {"metadata": {"name": "x"}, "spec": {
        "replicas": 1, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            key: value for key, value in POD_SPEC.items() if key != "activeDeadlineSeconds"}}}},
    f"{NAMESPACED}/endpoints": {"metadata": {"name": "x"}, "subsets": [
        {"addresses": [{"ip": "1.2.3.4", "targetRef": {"kind": "Pod"}}], "ports": [{"port": 1, "protocol": "TCP"}]}]},
    f"{NAMESPACED}/events": {"metadata": {"name": "x"}, "involvedObject": {"kind": "Pod", "namespace": "default"},
                             "count": 1, "firstTimestamp": "2020-01-01T00:00:00Z", "source": {"component": "x"}},
    "/api/v1/nodes": {"metadata": {"name": "x"}, "spec": {"unschedulable": True}, "status": {
        "capacity": {"cpu": "1"}, "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "1.1.1.1"}]}},
    "/api/v1/namespaces": {"metadata": {"name": "x"}, "spec": {"finalizers": ["kubernetes"]}},
}  # fmt: skip
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml")


def mutated(dice: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy({"apiVersion": "v1", **document})
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        _mutate(dice, document)
    return document


def _mutate(dice: random.Random, part: Any) -> None:
    """Go down at random, then replace, remove, add or double one member."""
    keys = list(part) if isinstance(part, dict) else list(range(len(part)))
    key = dice.choice(keys)
    if isinstance(part[key], dict | list) and part[key] and dice.random() < 0.75:
        _mutate(dice, part[key])
        return
    junk, how = copy.deepcopy(dice.choice(JUNK)), dice.random()
    if how < 0.2:
        del part[key]
    elif how < 0.3 and isinstance(part, dict):
        part["surplus"] = junk
    elif how < 0.4 and isinstance(part, list):
        part.append(copy.deepcopy(part[key]))
    else:
        part[key] = junk


def a_request(dice: random.Random) -> Request:
    path, document = dice.choice(list(OBJECTS.items()))
    method = dice.choice(("POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE"))
    if method != "POST":
        path += "/x" + dice.choice(("", "", "/status", "/scale", "/binding"))
    headers = {"content-type": dice.choice(PATCHES) if method == "PATCH" else "application/json"}
    query = dice.choice(({}, {}, {"fieldValidation": "Strict"}, {"dryRun": "All"}))
    if method == "PATCH":
        query |= dice.choice(({"fieldManager": "me"}, {"fieldManager": "you", "force": "true"}, {}))
    body = b"" if method == "DELETE" else json.dumps(mutated(dice, document)).encode()
    return Request(method, path, query, headers, body, TESTER)


@pytest.mark.parametrize("seed", range(4))
async def test_never_a_server_error(server: Server, seed: int) -> None:
    dice = random.Random(seed)
    codes = set()
    for _ in range(500):
        request = a_request(dice)
        answer = await server.handle(request)
        assert isinstance(answer, Answer)
        assert answer.status < 500, (request.method, request.path, request.body, answer.body)
        codes.add(answer.status)
    assert {200, 201, 400, 404, 405, 409, 422} <= codes
    for path in OBJECTS:
        for accept in ("", "application/json;as=Table;v=v1;g=meta.k8s.io"):
            answer = await server.handle(Request("GET", path, {}, {"accept": accept}, b"", TESTER))
            assert answer.status == 200, path
