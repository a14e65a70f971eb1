"""`etcdctl get` in a lab: every kind under the key that the original used, its value one line of readable JSON."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.api.kinds import KINDS
from labkit.client.rest import Client
from tests.node.apiserver import ApiServer, api_server
from tests.node.real_etcd import Authority, EtcdServer

_POD = {"containers": [{"name": "c", "image": "redis"}]}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_VOLUME = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}
_ABOUT = {"kind": "Pod", "namespace": "ns", "name": "x"}

# resource: (key below /registry, what the object has besides its metadata). Names as in Kubernetes 0.18 to 1.0:
# nodes are minions, replication controllers are controllers, a service has its specs and its endpoints.
LAYOUT: dict[str, tuple[str, dict[str, Any]]] = {
    "namespaces": ("namespaces/x", {}),
    "nodes": ("minions/x", {}),
    "pods": ("pods/ns/x", {"spec": _POD}),
    "replicationcontrollers": (
        "controllers/ns/x", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": _POD}}}
    ),
    "services": ("services/specs/ns/x", {"spec": {"type": "NodePort", "ports": [{"port": 80}]}}),
    "endpoints": ("services/endpoints/ns/x", {}),
    "podtemplates": ("podtemplates/ns/x", {"template": {"spec": _POD}}),
    "secrets": ("secrets/ns/x", {"data": {"password": "czNjcmV0"}}),
    "configmaps": ("configmaps/ns/x", {"data": {"a": "b"}}),  # of 1.2
    "serviceaccounts": ("serviceaccounts/ns/x", {}),
    "limitranges": ("limitranges/ns/x", {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}),
    "resourcequotas": ("resourcequotas/ns/x", {"spec": {"hard": {"pods": "10"}}}),
    "persistentvolumes": ("persistentvolumes/x", {"spec": _VOLUME}),
    "persistentvolumeclaims": ("persistentvolumeclaims/ns/x", {"spec": _CLAIM}),
    "leases": ("leases/ns/x", {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}),  # of later times
    "events": ("events/ns/x", {"involvedObject": _ABOUT, "reason": "r", "message": "m"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_etcd: EtcdServer, shared_authority: Authority
) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("server"), shared_etcd, shared_authority) as server:
        asyncio.run(_make_one_of_each(server))
        yield server


async def _make_one_of_each(server: ApiServer) -> None:
    async with Client(server.url, server.context("admin", "system:masters")) as client:
        await client.raw("POST", "/api/v1/namespaces", body=b'{"metadata":{"name":"ns"}}')
        for resource, (_, rest) in LAYOUT.items():
            scope = "/namespaces/ns" if KINDS[resource].namespaced else ""
            body = json.dumps({"metadata": {"name": "x"}, **rest}).encode()
            await client.raw("POST", f"{KINDS[resource].root}{scope}/{resource}", body=body)


def test_the_table_has_every_kind() -> None:
    assert set(LAYOUT) == set(KINDS)


@pytest.mark.parametrize("resource", LAYOUT)
def test_every_kind_is_where_the_original_kept_it(server: ApiServer, shared_etcd: EtcdServer, resource: str) -> None:
    key, rest = f"/registry/{LAYOUT[resource][0]}", LAYOUT[resource][1]
    printed = shared_etcd.ctl("get", key).splitlines()
    assert printed[0] == key
    assert len(printed) == 2  # one line, for grep and jq
    stored = json.loads(printed[1])
    assert (stored["kind"], stored["apiVersion"]) == (KINDS[resource].kind, KINDS[resource].api_version)
    assert stored["metadata"]["name"] == "x"
    assert stored["metadata"].get("namespace", "") == ("ns" if KINDS[resource].namespaced else "")
    assert "resourceVersion" not in stored["metadata"]  # it is etcd's own revision of the key
    for field, value in rest.items():
        assert contains(stored[field], value), field


def contains(stored: Any, sent: Any) -> bool:
    """Whether all that was sent is there, defaults beside it."""
    if isinstance(sent, dict):
        return all(name in stored and contains(stored[name], value) for name, value in sent.items())
    if isinstance(sent, list):
        return len(stored) == len(sent) and all(map(contains, stored, sent))
    return bool(stored == sent)


def test_nothing_else_is_there(server: ApiServer, shared_etcd: EtcdServer) -> None:
    keys = shared_etcd.ctl("get", "--prefix", "--keys-only", "/").split()
    ours = {f"/registry/{key}" for key, _ in LAYOUT.values()} | {"/registry/labkit/nudge"}
    assert set(keys) - ours == {
        "/registry/namespaces/default", "/registry/namespaces/kube-system", "/registry/namespaces/ns",
        "/registry/services/specs/default/kubernetes", "/registry/services/endpoints/default/kubernetes",
        "/registry/ranges/serviceips", "/registry/ranges/servicenodeports",
    }  # fmt: skip


def test_the_ranges_say_what_is_taken(server: ApiServer, shared_etcd: EtcdServer) -> None:
    for name, text in (("serviceips", "10.0.0.0/16"), ("servicenodeports", "30000-32767")):
        stored = json.loads(shared_etcd.ctl("get", "--print-value-only", f"/registry/ranges/{name}"))
        assert (stored["kind"], stored["apiVersion"], stored["range"]) == ("RangeAllocation", "v1", text)
        assert stored["data"]


def test_events_and_nothing_else_vanish_with_time(server: ApiServer, shared_etcd: EtcdServer) -> None:
    def lease(key: str) -> int:
        return int(json.loads(shared_etcd.ctl("get", "-w", "json", f"/registry/{key}"))["kvs"][0].get("lease", 0))

    leases = {resource: lease(key) for resource, (key, _) in LAYOUT.items()}
    assert {resource for resource, number in leases.items() if number} == {"events"}
    told = shared_etcd.ctl("lease", "timetolive", "--keys", f"{leases['events']:x}")
    assert "/registry/events/ns/x" in told
    assert "granted with TTL(3660s)" in told  # an hour; one lease serves the writes of a minute


def test_the_revision_in_etcd_is_the_resource_version(server: ApiServer, shared_etcd: EtcdServer) -> None:
    async def version() -> str:
        async with Client(server.url, server.context("admin", "system:masters")) as client:
            answer = json.loads(await client.raw("GET", "/api/v1/namespaces/ns/pods/x"))
        return str(answer["metadata"]["resourceVersion"])

    found = json.loads(shared_etcd.ctl("get", "-w", "json", "/registry/pods/ns/x"))
    assert asyncio.run(version()) == str(found["kvs"][0]["mod_revision"])
