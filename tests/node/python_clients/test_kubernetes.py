"""The client `kubernetes`, by certificate and by token: its typed calls for every kind, watches and informers, the
dynamic client. Its streams are in test_kubernetes_streams.py."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes import client as k
from kubernetes import dynamic, utils, watch
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

from tests.node.one_node import OneNode, until
from tests.node.python_clients.manifests import CLUSTER, EVENT, NAMESPACED, config_map, controller, pod

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
def api(config: str) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(config) as client:
        yield k.CoreV1Api(client)


@pytest.fixture
def namespace(api: Any) -> Iterator[str]:
    name: str = api.create_namespace({"metadata": {"generateName": "python-"}}).metadata.name
    until(lambda: api.list_namespaced_service_account(name).items, "it has its service account")
    yield name
    api.delete_namespace(name)


def names(found: Any) -> list[str]:
    return [item.metadata.name for item in found.items]


def replaced(call: dict[str, Any], namespace: str) -> Any:
    """x, read, changed and put back; once more when a controller was faster (a token for a service account, say)."""
    while True:
        found = call["read"]("x", namespace)
        found.metadata.annotations = {"seen": "twice"}
        try:
            return call["replace"]("x", namespace, found)
        except k.ApiException as refused:
            if refused.status != 409:
                raise


class TestEveryKind:
    def test_in_a_namespace(self, api: Any, namespace: str) -> None:
        event = EVENT | {"involvedObject": {"kind": "Pod", "name": "x", "namespace": namespace}}
        for kind, rest in {**NAMESPACED, "event": event}.items():
            call = {
                verb: getattr(api, f"{verb}_namespaced_{kind}")
                for verb in ("create", "read", "list", "patch", "replace", "delete", "delete_collection")
            }
            made = call["create"](namespace, {"metadata": {"name": "x", "labels": {"l": kind}}, **rest})
            assert made.metadata.uid, kind
            assert names(call["list"](namespace, label_selector=f"l={kind}")) == ["x"]
            everywhere = getattr(api, f"list_{kind}_for_all_namespaces")(field_selector="metadata.name=x")
            assert "x" in names(everywhere)
            changed = call["patch"]("x", namespace, {"metadata": {"annotations": {"seen": "yes"}}})
            assert changed.metadata.annotations == {"seen": "yes"}
            assert replaced(call, namespace).metadata.annotations == {"seen": "twice"}
            assert call["create"](namespace, {"metadata": {"name": "dry"}, **rest}, dry_run="All").metadata.uid
            call["delete"]("x", namespace, propagation_policy="Background")
            assert "dry" not in names(call["list"](namespace))
            call["create"](namespace, {"metadata": {"name": "y", "labels": {"l": kind}}, **rest})
            call["delete_collection"](namespace, label_selector=f"l={kind}", propagation_policy="Background")
            assert names(call["list"](namespace, label_selector=f"l={kind}")) == []

    def test_of_the_cluster(self, api: Any) -> None:
        for kind, rest in CLUSTER.items():
            name = f"python-{secrets.token_hex(3)}"
            getattr(api, f"create_{kind}")({"metadata": {"name": name}, **rest})
            assert name in names(getattr(api, f"list_{kind}")())
            changed = getattr(api, f"patch_{kind}")(name, {"metadata": {"labels": {"seen": "yes"}}})
            assert changed.metadata.labels["seen"] == "yes"
            found = getattr(api, f"read_{kind}")(name)
            assert getattr(api, f"replace_{kind}")(name, found).metadata.name == name
            getattr(api, f"delete_{kind}")(name)
            until(lambda: name not in names(getattr(api, f"list_{kind}")()), f"{kind} is gone")  # noqa: B023

    def test_what_deletion_answers(self, api: Any, namespace: str) -> None:
        api.create_namespaced_pod(namespace, pod("p"))
        assert api.delete_namespaced_pod("p", namespace, grace_period_seconds=0).spec.containers[0].name == "c"
        api.create_namespaced_config_map(namespace, config_map("m"))
        assert api.delete_namespaced_config_map("m", namespace)["details"]["name"] == "m"

    def test_what_is_only_read(self, api: Any, node: OneNode) -> None:
        assert {one.metadata.name for one in api.list_component_status().items} >= {"etcd-0", "scheduler"}
        assert api.read_component_status("etcd-0").conditions[0].type == "Healthy"
        until(lambda: node.name in names(api.list_node()), "the node is known")
        assert "Ready" in {one.type for one in api.read_node_status(node.name).status.conditions}


class TestChanges:
    def test_every_patch(self, api: Any, namespace: str) -> None:
        api.create_namespaced_pod(namespace, pod("p"))

        def labels(body: object, **options: object) -> dict[str, str]:
            found: dict[str, str] = api.patch_namespaced_pod("p", namespace, body, **options).metadata.labels
            return found

        assert labels({"metadata": {"labels": {"x": "1"}}}) == {"app": "a", "x": "1"}
        assert labels([{"op": "add", "path": "/metadata/labels/y", "value": "2"}])["y"] == "2"
        assert "x" not in labels({"metadata": {"labels": {"x": None}}}, _content_type=MERGE)
        image = {"spec": {"containers": [{"name": "c", "image": "other"}]}}  # by its merge key: env stays
        changed = api.patch_namespaced_pod("p", namespace, image).spec.containers[0]
        assert (changed.image, changed.env[0].value) == ("other", "1")

    def test_server_side_apply(self, api: Any, namespace: str) -> None:
        for value in ("1", "2"):
            body = config_map("m", a=value)
            done = api.patch_namespaced_config_map(
                "m", namespace, body, _content_type=APPLY, field_manager="me", force=True
            )
            assert done.data == {"a": value}

    def test_status_is_kept_apart(self, api: Any, namespace: str) -> None:
        api.create_namespaced_pod(namespace, pod("p"))
        assert api.read_namespaced_pod_status("p", namespace).status.phase == "Pending"
        assert api.patch_namespaced_pod_status("p", namespace, {"status": {"message": "m"}}).status.message == "m"
        found = api.read_namespaced_pod("p", namespace)
        found.status.message = "lost"
        assert api.replace_namespaced_pod("p", namespace, found).status.message == "m"
        found = api.read_namespaced_pod("p", namespace)
        found.status.message = "kept"
        assert api.replace_namespaced_pod_status("p", namespace, found).status.message == "kept"

    def test_scale(self, api: Any, namespace: str) -> None:
        api.create_namespaced_replication_controller(namespace, controller("rc"))
        assert api.read_namespaced_replication_controller_scale("rc", namespace).spec.replicas == 0
        scaled = api.patch_namespaced_replication_controller_scale("rc", namespace, {"spec": {"replicas": 2}})
        assert scaled.spec.replicas == 2
        until(lambda: len(api.list_namespaced_pod(namespace, label_selector="a=b").items) == 2, "two pods")
        wanted = {"metadata": {"name": "rc", "namespace": namespace}, "spec": {"replicas": 0}}
        api.replace_namespaced_replication_controller_scale("rc", namespace, wanted)
        until(lambda: not api.list_namespaced_pod(namespace, label_selector="a=b").items, "no pod")
        read = api.read_namespaced_replication_controller_status
        until(lambda: read("rc", namespace).status.replicas == 0, "none is counted")

    def test_binding_and_eviction(self, api: Any, namespace: str) -> None:
        """Bindings answer a Status, as the real ones do; the client's typed answer would be a Binding, so it is not
        looked at (https://github.com/kubernetes-client/python/issues/547)."""
        for name in ("one", "two"):
            api.create_namespaced_pod(namespace, pod(name))
        target = {"kind": "Node", "name": "nowhere"}
        one, two = ({"metadata": {"name": name}, "target": target} for name in ("one", "two"))
        assert api.create_namespaced_binding(namespace, one, _preload_content=False).status == 201
        assert api.create_namespaced_pod_binding("two", namespace, two, _preload_content=False).status == 201
        assert names(api.list_namespaced_pod(namespace, field_selector="spec.nodeName=nowhere")) == ["one", "two"]
        with pytest.raises(k.ApiException) as refused:
            api.create_namespaced_binding(namespace, one, _preload_content=False)
        assert refused.value.status == 409
        api.create_namespaced_pod_eviction("one", namespace, {"metadata": {"name": "one"}})
        until(lambda: names(api.list_namespaced_pod(namespace)) == ["two"], "one is gone")

    def test_quota_and_limits_hold(self, api: Any, namespace: str) -> None:
        limits = {"limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "100m"}}]}
        api.create_namespaced_limit_range(namespace, {"metadata": {"name": "l"}, "spec": limits})
        api.create_namespaced_resource_quota(namespace, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
        used = lambda: api.read_namespaced_resource_quota_status("q", namespace).status.used  # noqa: E731
        until(lambda: used() == {"pods": "0"}, "the quota is counted")
        made = api.create_namespaced_pod(namespace, pod("p"))
        assert made.spec.containers[0].resources.limits == {"cpu": "100m"}
        assert used() == {"pods": "1"}
        with pytest.raises(k.ApiException, match="Limited to 1 pods") as refused:
            api.create_namespaced_pod(namespace, pod("q"))
        assert refused.value.status == 403


class TestReading:
    def test_selectors_and_pages(self, api: Any, namespace: str) -> None:
        for number in range(5):
            api.create_namespaced_config_map(
                namespace, {"metadata": {"name": f"m{number}", "labels": {"n": str(number)}}}
            )
        listed = api.list_namespaced_config_map
        assert names(listed(namespace, label_selector="n in (1,3),n!=3")) == ["m1"]
        assert names(listed(namespace, field_selector="metadata.name=m4")) == ["m4"]
        assert names(listed(namespace, resource_version="0")) == [f"m{n}" for n in range(5)]
        seen, more = [], None
        while more != "":
            page = listed(namespace, limit=2, _continue=more)
            assert len(page.items) <= 2
            seen += names(page)
            more = page.metadata._continue or ""
        assert seen == [f"m{n}" for n in range(5)]

    def test_discovery_and_version(self, api: Any) -> None:
        assert k.VersionApi(api.api_client).get_code().git_version == "v0.18.2+labkit"  # asks for /version/
        assert k.CoreApi(api.api_client).get_api_versions().versions == ["v1"]
        assert "authorization.k8s.io" in {group.name for group in k.ApisApi(api.api_client).get_api_versions().groups}
        assert "pods/exec" in {one.name for one in api.get_api_resources().resources}

    def test_reviews(self, api: Any, config: str) -> None:
        may = k.AuthorizationV1Api(api.api_client)
        wish = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
        assert may.create_self_subject_access_review(wish).status.allowed
        rules = may.create_self_subject_rules_review({"spec": {"namespace": "default"}}).status
        assert rules.resource_rules[0].verbs == ["*"]
        me = k.AuthenticationV1Api(api.api_client).create_self_subject_review({}).status.user_info
        assert me.username == ("robot" if "token" in config else "admin")

    def test_raw(self, api: Any) -> None:
        asked = api.api_client.param_serialize("GET", "/api/v1/namespaces/default", auth_settings=["BearerToken"])
        answer = api.api_client.call_api(*asked)
        assert (answer.status, json.loads(answer.read())["kind"]) == (200, "Namespace")

    @pytest.mark.parametrize(
        ("call", "code", "reason"),
        [
            (lambda api: api.read_namespaced_pod("nope", "default"), 404, "NotFound"),
            (lambda api: api.create_namespace({"metadata": {"name": "default"}}), 409, "AlreadyExists"),
            (lambda api: api.create_namespaced_pod("default", pod("UPPER")), 422, "Invalid"),
            (lambda api: api.list_namespaced_pod("default", label_selector="a in"), 400, "BadRequest"),
            (lambda api: api.list_namespaced_pod("default", _continue="nonsense"), 400, "BadRequest"),
        ],
    )
    def test_refusals(self, api: Any, call: Any, code: int, reason: str) -> None:
        with pytest.raises(k.ApiException) as refused:
            call(api)
        assert (refused.value.status, f'"reason":"{reason}"' in refused.value.body) == (code, True), refused.value.body

    def test_a_wrong_token(self, api: Any) -> None:
        settings = k.Configuration()
        settings.host, settings.ssl_ca_cert = (
            api.api_client.configuration.host,
            api.api_client.configuration.ssl_ca_cert,
        )
        settings.api_key = {"authorization": "Bearer wrong"}
        with k.ApiClient(settings) as client, pytest.raises(k.ApiException) as refused:
            k.CoreV1Api(client).list_namespaced_pod("default")
        assert (refused.value.status, "Unauthorized" in refused.value.body) == (401, True)


class TestWatch:
    def test_resumes_without_loss(self, api: Any, namespace: str) -> None:
        listed = api.list_namespaced_config_map
        start = listed(namespace).metadata.resource_version
        for number in range(4):
            api.create_namespaced_config_map(namespace, config_map(f"m{number}"))
        seen = []
        version = start
        for _ in range(2):  # two events by one watch, two by the next
            stream = watch.Watch()
            for event in stream.stream(listed, namespace, resource_version=version, timeout_seconds=5):
                seen.append((event["type"], event["object"].metadata.name))
                version = event["object"].metadata.resource_version
                if len(seen) % 2 == 0:
                    break
            stream.stop()
        assert seen == [("ADDED", f"m{number}") for number in range(4)]

    def test_selected_by_label(self, api: Any, namespace: str) -> None:
        version = api.list_namespaced_pod(namespace).metadata.resource_version
        api.create_namespaced_pod(namespace, pod("p"))
        for colour in ("red", "blue"):
            api.patch_namespaced_pod("p", namespace, {"metadata": {"labels": {"colour": colour}}})
        events = watch.Watch().stream(
            api.list_namespaced_pod, namespace, resource_version=version, label_selector="colour=red", timeout_seconds=1
        )
        assert [event["type"] for event in events] == ["ADDED", "DELETED"]

    def test_bookmarks_and_the_timeout(self, api: Any, namespace: str) -> None:
        started = time.monotonic()
        events = watch.Watch().stream(
            api.list_namespaced_config_map, namespace, timeout_seconds=2, allow_watch_bookmarks=True
        )
        kinds = [event["type"] for event in events]
        assert time.monotonic() - started < 5
        assert set(kinds) <= {"BOOKMARK"}

    def test_informer(self, api: Any, namespace: str) -> None:
        seen: list[tuple[str, str]] = []
        informer = SharedInformer(api.list_namespaced_config_map, namespace=namespace)
        for kind in (ADDED, MODIFIED, DELETED):
            informer.add_event_handler(kind, lambda found, kind=kind: seen.append((kind, found.metadata.name)))
        api.create_namespaced_config_map(namespace, config_map("before"))
        informer.start()
        try:
            until(lambda: ("ADDED", "before") in seen, "what was there already")
            api.create_namespaced_config_map(namespace, config_map("m"))
            until(lambda: ("ADDED", "m") in seen, "added")
            api.patch_namespaced_config_map("m", namespace, {"data": {"a": "b"}})
            until(lambda: ("MODIFIED", "m") in seen, "modified")
            assert informer.cache.get_by_key(f"{namespace}/m").data == {"a": "b"}
            api.delete_namespaced_config_map("m", namespace)
            until(lambda: ("DELETED", "m") in seen, "deleted")
        finally:
            informer.stop()
        until(lambda: not any(one.name == "SharedInformer" for one in threading.enumerate()), "its thread ends")


class TestDynamicClient:
    def test_what_it_discovers_and_does(self, api: Any, namespace: str) -> None:
        client = dynamic.DynamicClient(api.api_client)
        maps = client.resources.get(api_version="v1", kind="ConfigMap")
        maps.create(body=config_map("m", a="1"), namespace=namespace)
        maps.server_side_apply(
            body=config_map("m", a="2"), namespace=namespace, field_manager="me", force_conflicts=True
        )
        maps.patch(name="m", namespace=namespace, body={"data": {"b": "3"}}, content_type=MERGE)
        assert maps.get(name="m", namespace=namespace).data.to_dict() == {"a": "2", "b": "3"}
        maps.replace(body=config_map("m", a="4"), namespace=namespace)
        assert [one.data.a for one in maps.get(namespace=namespace).items] == ["4"]
        assert [event["type"] for event in maps.watch(namespace=namespace, timeout=1)] == ["ADDED"]
        maps.delete(name="m", namespace=namespace)
        with pytest.raises(dynamic.exceptions.NotFoundError):
            maps.get(name="m", namespace=namespace)

    def test_subresources(self, api: Any, namespace: str) -> None:
        client = dynamic.DynamicClient(api.api_client)
        controllers = client.resources.get(api_version="v1", kind="ReplicationController")
        controllers.create(body=controller("rc"), namespace=namespace)
        scaled = controllers.scale.patch(
            name="rc", namespace=namespace, body={"spec": {"replicas": 1}}, content_type=MERGE
        )
        assert (scaled.kind, scaled.spec.replicas) == ("Scale", 1)
        assert controllers.status.get(name="rc", namespace=namespace).kind == "ReplicationController"
        assert {one.name for one in client.resources.search(short_names=["po"])} == {"pods"}

    def test_manifests(self, api: Any, namespace: str) -> None:
        found = {"apiVersion": "v1", "kind": "List", "items": [pod("p"), config_map("m"), controller("rc")]}
        made = utils.create_from_dict(api.api_client, found, namespace=namespace)
        assert len(made) == 3
        with pytest.raises(utils.FailToCreateError, match="already exists"):
            utils.create_from_dict(api.api_client, pod("p"), namespace=namespace)
