"""Paths and what they mean."""

import pytest

from labkit.api.kinds import KINDS
from labkit.components.kube_apiserver.routes import Route, route, verb_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", "", "", "", False)),
        ("/api/v1/pods/", ("pods", "", "", "", False)),
        ("/api/v1/namespaces/ns/pods", ("pods", "ns", "", "", False)),
        ("/api/v1/namespaces/ns/pods/x", ("pods", "ns", "x", "", False)),
        ("/api/v1/namespaces/ns/pods/x/log", ("pods", "ns", "x", "log", False)),
        ("/api/v1/namespaces/ns/replicationcontrollers/x/scale", ("replicationcontrollers", "ns", "x", "scale", False)),
        ("/api/v1/namespaces", ("namespaces", "", "", "", False)),
        ("/api/v1/namespaces/ns", ("namespaces", "", "ns", "", False)),
        ("/api/v1/namespaces/ns/status", ("namespaces", "", "ns", "status", False)),
        ("/api/v1/nodes/n1", ("nodes", "", "n1", "", False)),
        ("/api/v1/nodes/n1/status", ("nodes", "", "n1", "status", False)),
        ("/api/v1/namespaces/ns/bindings", ("bindings", "ns", "", "", False)),
        ("/api/v1/watch/pods", ("pods", "", "", "", True)),
        ("/api/v1/watch/namespaces/ns/pods/x", ("pods", "ns", "x", "", True)),
        ("/api/v1/namespaces/n%2es/pods/a%2Db", ("pods", "n.s", "a-b", "", False)),
    ],
)
def test_found(path: str, expected: tuple[str, str, str, str, bool]) -> None:
    resource, namespace, name, subresource, watch = expected
    assert route(path) == Route(resource, KINDS.get(resource), namespace, name, subresource, watch)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/api", "/api/v1", "/api/v2/pods", "/apis/apps/v1/deployments", "/api/v1/nope",
        "/api/v1/namespaces/ns/nope",
        "/api/v1/pods/x", "/api/v1/namespaces/ns/nodes", "/api/v1/namespaces/ns/pods/x/nope", "/api/v1/nodes/n/log",
        "/api/v1/namespaces/ns/pods/x/log/more", "/api/v1/namespaces//pods", "//api/v1/pods", "/api/v1/bindings",
        "/api/v1/watch/namespaces/ns/pods/x/status", "/api/v1/namespaces/a%2Fb/pods", "/api/v1/namespaces/../pods",
        "/api/v1/namespaces/ns/pods/%00", "/api/v1/watch", "/api/v1/namespaces/ns/namespaces",
    ],
)  # fmt: skip
def test_not_found(path: str) -> None:
    assert route(path) is None


@pytest.mark.parametrize(
    ("method", "path", "watching", "verb"),
    [
        ("GET", "/api/v1/pods", False, "list"),
        ("GET", "/api/v1/pods", True, "watch"),
        ("GET", "/api/v1/watch/pods", False, "watch"),
        ("GET", "/api/v1/namespaces/ns/pods/x", False, "get"),
        ("POST", "/api/v1/namespaces/ns/pods", False, "create"),
        ("PUT", "/api/v1/namespaces/ns/pods/x", False, "update"),
        ("PATCH", "/api/v1/namespaces/ns/pods/x/status", False, "patch"),
        ("DELETE", "/api/v1/namespaces/ns/pods/x", False, "delete"),
        ("DELETE", "/api/v1/namespaces/ns/pods", False, "deletecollection"),
        ("GET", "/api/v1/namespaces/ns/pods/x/log", False, "get"),
        ("GET", "/api/v1/namespaces/ns/pods/x/exec", False, "create"),
        ("GET", "/api/v1/nodes/x/proxy/pods", False, "create"),
        ("DELETE", "/api/v1/nodes/x/proxy/pods", False, "delete"),
    ],
)
def test_verbs(method: str, path: str, watching: bool, verb: str) -> None:
    found = route(path)
    assert found is not None
    assert verb_of(method, found, watching) == verb


@pytest.mark.parametrize(
    ("path", "resource", "namespace", "name", "rest"),
    [
        ("/api/v1/namespaces/ns/pods/x/proxy", "pods", "ns", "x", ""),
        ("/api/v1/namespaces/ns/pods/http:x:80/proxy/", "pods", "ns", "http:x:80", "/"),
        ("/api/v1/namespaces/ns/services/x:web/proxy/a//b%2F/../c", "services", "ns", "x:web", "/a//b%2F/../c"),
        ("/api/v1/nodes/n/proxy/proxy", "nodes", "", "n", "/proxy"),
        ("/api/v1/namespaces/proxy/pods/proxy/proxy/x", "pods", "proxy", "proxy", "/x"),
    ],
)
def test_proxies(path: str, resource: str, namespace: str, name: str, rest: str) -> None:
    assert route(path) == Route(resource, KINDS[resource], namespace, name, "proxy", False, rest)


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/ns/endpoints/x/proxy/y", "/api/v1/namespaces/ns/pods/x/log/proxy/y"]
)
def test_no_proxies(path: str) -> None:
    assert route(path) is None
