"""Objects over HTTP: create, read, change, delete, and how each refusal reads."""

import asyncio
import io
import json
from typing import Any

import msgspec
import pytest

from labkit.components.kube_apiserver.server import Server

from .conftest import PODS, Http, pod, service

RCS = "/api/v1/namespaces/default/replicationcontrollers"
SERVICES = "/api/v1/namespaces/default/services"


def rc(name: str = "rc1", replicas: int = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {"kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"app": "a"}, "template": template}}  # fmt: skip


def failed(answer: tuple[int, Any]) -> tuple[int, str, str]:
    code, status = answer
    assert status["kind"] == "Status"
    assert status["status"] == "Failure"
    assert status["code"] == code
    return code, status["reason"], status["message"]


class TestCreate:
    async def test_the_server_says_who_and_when(self, http: Http) -> None:
        sent = pod("p1", uid="mine", creationTimestamp="2001-01-01T00:00:00Z", selfLink="/x")
        made = await http.made(PODS, {**sent, "status": {"phase": "Running"}})
        meta = made["metadata"]
        assert meta["namespace"] == "default"
        assert meta["selfLink"] == f"{PODS}/p1"
        assert len(meta["uid"]) == 36
        assert meta["creationTimestamp"] > "2020"
        assert made["status"] == {"phase": "Pending"}
        assert await http.got(f"{PODS}/p1") == made

    async def test_generated_names_differ(self, http: Http) -> None:
        sent = pod("")
        sent["metadata"] = {"generateName": "web-"}
        names = {(await http.made(PODS, sent))["metadata"]["name"] for _ in range(5)}
        assert len(names) == 5
        assert all(name.startswith("web-") and len(name) == 9 for name in names)

    async def test_twice(self, http: Http) -> None:
        await http.made(PODS, pod())
        assert failed(await http("POST", PODS, pod())) == (409, "AlreadyExists", 'pods "p1" already exists')

    async def test_faults_are_listed(self, http: Http) -> None:
        code, status = await http("POST", PODS, {**pod("Bad"), "spec": {}})
        assert (code, status["reason"]) == (422, "Invalid")
        assert [cause["field"] for cause in status["details"]["causes"]] == ["metadata.name", "spec.containers"]

    async def test_another_namespace_than_the_path(self, http: Http) -> None:
        assert failed(await http("POST", PODS, pod(namespace="other")))[:2] == (400, "BadRequest")

    async def test_with_resource_version(self, http: Http) -> None:
        refused = failed(await http("POST", PODS, pod(resourceVersion="3")))
        assert refused == (400, "BadRequest", "resourceVersion may not be set on objects to be created")

    async def test_dry_run_stores_nothing(self, http: Http, server: Server) -> None:
        before = await server.storage.revision()
        code, document = await http("POST", f"{PODS}?dryRun=All", pod())
        assert (code, document["spec"]["restartPolicy"]) == (201, "Always")
        assert "resourceVersion" not in document["metadata"]
        code, _ = await http("POST", f"{SERVICES}?dryRun=All", service())
        assert code == 201
        assert await server.storage.revision() == before

    async def test_dry_run_of_what_is_there_already(self, http: Http) -> None:
        await http.made(PODS, pod())
        assert failed(await http("POST", f"{PODS}?dryRun=All", pod()))[:2] == (409, "AlreadyExists")

    async def test_a_dry_run_of_a_change_keeps_the_version(self, http: Http) -> None:
        """Else `kubectl diff` shows it as a difference."""
        made = await http.made(PODS, pod())
        labels = {"metadata": {"labels": {"a": "b"}}}
        _, changed = await http("PATCH", f"{PODS}/p1?dryRun=All", labels, Content_Type="application/merge-patch+json")
        assert changed["metadata"] == made["metadata"] | {"labels": {"a": "b"}}
        assert await http.got(f"{PODS}/p1") == made

    async def test_unknown_fields_of_a_patch(self, http: Http) -> None:
        """Told unless the client says otherwise: so `kubectl taint` of 1.20 does not seem to have worked."""
        await http.made("/api/v1/nodes", {"metadata": {"name": "n1"}})
        body = json.dumps({"spec": {"taints": [{"key": "k"}], "unschedulable": True}})
        sent = {"data": body, "headers": {"Content-Type": "application/merge-patch+json"}}
        async with http.session.patch(f"{http.base_url}/api/v1/nodes/n1", **sent) as answer:
            assert answer.headers["Warning"] == '299 - "unknown field \\"spec.taints\\""'
            assert "taints" not in (await answer.json())["spec"]
        async with http.session.patch(f"{http.base_url}/api/v1/nodes/n1?fieldValidation=Ignore", **sent) as answer:
            assert "Warning" not in answer.headers
        async with http.session.patch(f"{http.base_url}/api/v1/nodes/n1?fieldValidation=Strict", **sent) as answer:
            assert answer.status == 400
            assert 'unknown field "spec.taints"' in (await answer.json())["message"]

    async def test_strict_field_validation(self, http: Http) -> None:
        sent = {**pod(), "spce": {}}
        assert (await http("POST", f"{PODS}?fieldValidation=Strict", sent))[0] == 400
        assert (await http("POST", f"{PODS}?fieldValidation=Warn&dryRun=All", sent))[0] == 201
        assert (await http("POST", PODS, sent))[0] == 201

    async def test_stored_as_the_original_does(self, http: Http, server: Server) -> None:
        await http.made(RCS, rc())
        stored = await server.storage.get("/registry/controllers/default/rc1")
        assert stored is not None
        assert "resourceVersion" not in json.loads(stored.value)["metadata"]

    async def test_sixteen_at_once(self, http: Http) -> None:
        made = await asyncio.gather(*(http.made(PODS, pod(f"p{n}")) for n in range(16)))
        versions = {int(document["metadata"]["resourceVersion"]) for document in made}
        assert len(versions) == 16


class TestUpdate:
    async def test_with_the_current_version(self, http: Http) -> None:
        made = await http.made(RCS, rc())
        made["spec"]["replicas"] = 3
        code, changed = await http("PUT", f"{RCS}/rc1", made)
        assert (code, changed["spec"]["replicas"]) == (200, 3)
        assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        assert changed["metadata"]["uid"] == made["metadata"]["uid"]

    async def test_with_a_stale_version(self, http: Http) -> None:
        made = await http.made(PODS, pod())
        await http("PATCH", f"{PODS}/p1", {"metadata": {"labels": {"a": "b"}}}, Content_Type=MERGE)
        code, reason, message = failed(await http("PUT", f"{PODS}/p1", made))
        assert (code, reason) == (409, "Conflict")
        assert message.startswith(
            'pods "p1" cannot be updated: the object has been modified; please apply your changes'
        )

    async def test_without_version_is_unconditional(self, http: Http) -> None:
        await http.made(RCS, rc())
        assert (await http("PUT", f"{RCS}/rc1", rc(replicas=7)))[1]["spec"]["replicas"] == 7

    async def test_unchanged_makes_no_new_version(self, http: Http) -> None:
        made = await http.made(PODS, pod())
        assert (await http("PUT", f"{PODS}/p1", made))[1] == made

    async def test_missing_and_misnamed(self, http: Http) -> None:
        await http.made(PODS, pod())
        assert failed(await http("PUT", f"{PODS}/zz", pod("zz"))) == (404, "NotFound", 'pods "zz" not found')
        assert failed(await http("PUT", f"{PODS}/p1", pod("other"))) == (
            400, "BadRequest", "the name of the object (other) does not match the name on the URL (p1)")  # fmt: skip

    async def test_status_and_spec_are_apart(self, http: Http) -> None:
        made = await http.made(PODS, pod())
        made["status"]["phase"] = "Running"
        made["metadata"]["labels"] = {"a": "b"}
        _, changed = await http("PUT", f"{PODS}/p1", made)
        assert changed["status"]["phase"] == "Pending"
        assert changed["metadata"]["labels"] == {"a": "b"}
        changed["status"]["phase"] = "Running"
        code, changed = await http("PUT", f"{PODS}/p1/status", changed)
        assert (code, changed["status"]["phase"]) == (200, "Running")
        assert (await http.got(f"{PODS}/p1/status"))["status"]["phase"] == "Running"

    async def test_endpoints_are_created_by_put(self, http: Http) -> None:
        sent = {"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "e"}}
        path = "/api/v1/namespaces/default/endpoints/e"
        assert (await http("PUT", path, sent))[0] == 201
        assert (await http("PUT", path, sent))[0] == 200

    async def test_nothing_is_created_elsewhere_than_the_path_says(self, http: Http) -> None:
        """Who may write one name would otherwise write any."""
        place = "/api/v1/namespaces/default/endpoints"
        endpoints = {"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "other"}}
        refused = failed(await http("PUT", f"{place}/absent", endpoints))
        assert refused == (
            400,
            "BadRequest",
            "the name of the object (other) does not match the name on the URL (absent)",
        )
        applied = await http(
            "PATCH", f"{PODS}/absent?fieldManager=me", pod("other"), Content_Type="application/apply-patch+yaml"
        )
        assert failed(applied)[:2] == (400, "BadRequest")
        assert (await http("GET", f"{place}/other"))[0] == (await http("GET", f"{PODS}/other"))[0] == 404

    async def test_of_many_writers_none_is_lost(self, http: Http) -> None:
        await http.made(PODS, pod())

        async def label(n: int) -> int:
            patch = {"metadata": {"labels": {f"l{n}": "x"}}}
            return (await http("PATCH", f"{PODS}/p1", patch, Content_Type=MERGE))[0]

        assert set(await asyncio.gather(*(label(n) for n in range(12)))) == {200}
        assert len((await http.got(f"{PODS}/p1"))["metadata"]["labels"]) == 12


MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class TestPatch:
    @pytest.mark.parametrize(
        ("dialect", "body"),
        [
            (MERGE, {"metadata": {"labels": {"a": "b"}}}),
            ("application/strategic-merge-patch+json", {"metadata": {"labels": {"a": "b"}}}),
            ("application/json-patch+json", [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]),
        ],
    )
    async def test_dialects(self, http: Http, dialect: str, body: Any) -> None:
        await http.made(PODS, pod())
        code, changed = await http("PATCH", f"{PODS}/p1", body, Content_Type=dialect)
        assert (code, changed["metadata"]["labels"]) == (200, {"a": "b"})

    async def test_refusals(self, http: Http) -> None:
        await http.made(PODS, pod())
        assert failed(await http("PATCH", f"{PODS}/p1", {}, Content_Type="application/json"))[0] == 415
        assert failed(await http("PATCH", f"{PODS}/zz", {}, Content_Type=MERGE))[0] == 404
        assert failed(await http("PATCH", f"{PODS}/p1", b"{", Content_Type=MERGE))[0] == 400
        spec = {"spec": {"restartPolicy": "Never"}}
        assert failed(await http("PATCH", f"{PODS}/p1", spec, Content_Type=MERGE))[0] == 422

    async def test_server_side_apply_creates(self, http: Http) -> None:
        kind = "application/apply-patch+yaml"
        assert (await http("PATCH", f"{PODS}/p1?fieldManager=kubectl", pod(), Content_Type=kind))[0] == 201
        assert (await http("PATCH", f"{PODS}/p1?fieldManager=kubectl", pod(), Content_Type=kind))[0] == 200
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1}\ndata:\n  key: |\n    one\n    two\n"
        maps = "/api/v1/namespaces/default/configmaps"
        code, made = await http("PATCH", f"{maps}/c1?fieldManager=me", text, Content_Type=kind)
        assert (code, made["data"]) == (201, {"key": "one\ntwo\n"})
        refused = failed(await http("PATCH", f"{maps}/c1?fieldManager=me", b"a:\n  b: c\n d", Content_Type=kind))
        assert refused[:2] == (400, "BadRequest")
        assert "error converting YAML to JSON: yaml: line 3" in refused[2]

    async def test_server_side_apply_asks_who_applies(self, http: Http) -> None:
        kind = "application/apply-patch+yaml"
        refused = failed(await http("PATCH", f"{PODS}/p1", pod(), Content_Type=kind))
        assert refused[:2] == (422, "Invalid")
        assert "fieldManager: Required value: is required for apply patch" in refused[2]
        owned = pod(managedFields=[{"manager": "x"}])
        refused = failed(await http("PATCH", f"{PODS}/p1?fieldManager=me", owned, Content_Type=kind))
        assert refused == (400, "BadRequest", "metadata.managedFields must be nil")
        await http.made(PODS, pod())
        refused = failed(await http("PATCH", f"{PODS}/p1?force=true", {}, Content_Type=MERGE))
        assert refused[:2] == (422, "Invalid")

    async def test_who_set_which_field(self, http: Http) -> None:
        kind, mine = "application/apply-patch+yaml", f"{RCS}/rc1?fieldManager=me"
        assert (await http("PATCH", mine, rc(replicas=1), Content_Type=kind))[0] == 201
        scale = await http.got(f"{RCS}/rc1/scale")
        scale["spec"]["replicas"] = 4
        await http("PUT", f"{RCS}/rc1/scale", scale, User_Agent="tool/1.0 (linux)")
        refused = failed(await http("PATCH", mine, rc(replicas=1), Content_Type=kind))
        assert refused[:2] == (409, "Conflict")
        assert refused[2] == (
            'Apply failed with 1 conflict: conflict with "tool" with subresource "scale" using v1: .spec.replicas'
        )
        code, forced = await http("PATCH", f"{mine}&force=true", rc(replicas=1), Content_Type=kind)
        assert (code, forced["spec"]["replicas"]) == (200, 1)
        assert [entry["manager"] for entry in forced["metadata"]["managedFields"]] == ["me"]
        assert await http("PATCH", mine, rc(replicas=1), Content_Type=kind) == (200, forced)

    async def test_an_applied_status(self, http: Http) -> None:
        await http.made(RCS, rc(replicas=1))
        status = {"kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": "rc1"},
                  "spec": {"replicas": 9}, "status": {"replicas": 3}}  # fmt: skip
        place = f"{RCS}/rc1/status?fieldManager=me"
        code, done = await http("PATCH", place, status, Content_Type="application/apply-patch+yaml")
        assert code == 200, done
        assert (done["spec"]["replicas"], done["status"]["replicas"]) == (1, 3)
        assert done["metadata"]["managedFields"][0]["subresource"] == "status"
        assert done["metadata"]["managedFields"][0]["fieldsV1"] == {"f:status": {"f:replicas": {}}}

    async def test_managed_fields_of_a_new_object_are_not_the_clients(self, http: Http) -> None:
        made = await http.made(PODS, pod(managedFields=[{"manager": "x", "operation": "Apply"}]))
        assert "managedFields" not in made["metadata"]


class TestScale:
    async def test_read_and_set(self, http: Http) -> None:
        await http.made(RCS, rc(replicas=2))
        scale = await http.got(f"{RCS}/rc1/scale")
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 0, "selector": "app=a"})
        scale["spec"]["replicas"] = 4
        assert (await http("PUT", f"{RCS}/rc1/scale", scale))[1]["spec"] == {"replicas": 4}
        code, scaled = await http("PATCH", f"{RCS}/rc1/scale", {"spec": {"replicas": 5}}, Content_Type=MERGE)
        assert (code, scaled["spec"]) == (200, {"replicas": 5})
        assert (await http.got(f"{RCS}/rc1"))["spec"]["replicas"] == 5
        scale["spec"]["replicas"] = 9
        assert failed(await http("PUT", f"{RCS}/rc1/scale", scale))[0] == 409
        assert failed(await http("PATCH", f"{RCS}/rc1/scale", {"spec": {"replicas": -1}}, Content_Type=MERGE))[0] == 422


class TestBinding:
    async def test_once(self, http: Http, log: io.StringIO) -> None:
        await http.made(PODS, pod())
        binding = {"metadata": {"name": "p1", "annotations": {"k": "v"}}, "target": {"name": "n1"}}
        code, status = await http("POST", "/api/v1/namespaces/default/bindings", binding)
        assert (code, status["status"]) == (201, "Success")
        bound = await http.got(f"{PODS}/p1")
        assert (bound["spec"]["nodeName"], bound["metadata"]["annotations"]) == ("n1", {"k": "v"})
        assert failed(await http("POST", f"{PODS}/p1/binding", binding)) == (
            409, "Conflict", 'binding "p1" cannot be updated: pod p1 is already assigned to node "n1"')  # fmt: skip
        line = json.loads(log.getvalue().splitlines()[-1])
        assert (line["decision"], line["object"]) == ("bound", "pods/default/p1")
        assert line["function"] == "labkit.components.kube_apiserver.changes:bound"

    async def test_one_of_many_schedulers_wins(self, http: Http) -> None:
        await http.made(PODS, pod())
        codes = await asyncio.gather(
            *(http("POST", f"{PODS}/p1/binding", {"target": {"name": f"n{n}"}}) for n in range(8))
        )
        assert sorted(code for code, _ in codes) == [201, *[409] * 7]

    async def test_refusals(self, http: Http) -> None:
        await http.made(PODS, pod())
        bindings = "/api/v1/namespaces/default/bindings"
        missing = await http("POST", bindings, {"metadata": {"name": "zz"}, "target": {"name": "n1"}})
        assert failed(missing) == (404, "NotFound", 'pod "zz" not found')
        untargeted = await http("POST", bindings, {"metadata": {"name": "p1"}})
        assert failed(untargeted) == (422, "Invalid", 'binding "p1" is invalid: to.name: required value')
        assert failed(await http("GET", bindings))[0] == 405


class TestDelete:
    async def test_answers(self, http: Http) -> None:
        made = await http.made(PODS, pod())
        assert (await http("DELETE", f"{PODS}/p1")) == (200, made)
        assert failed(await http("DELETE", f"{PODS}/p1")) == (404, "NotFound", 'pods "p1" not found')
        made = await http.made(RCS, rc())
        code, status = await http("DELETE", f"{RCS}/rc1", {"propagationPolicy": "Background"})
        assert (code, status["kind"], status["status"]) == (200, "Status", "Success")
        assert status["details"] == {
            "name": "rc1", "kind": "replicationcontrollers", "uid": made["metadata"]["uid"]}  # fmt: skip
        assert (await http("GET", f"{RCS}/rc1"))[0] == 404

    @pytest.mark.parametrize(
        ("query", "options", "finalizer"),
        [("", None, "orphan"), ("", {"orphanDependents": True}, "orphan"),
         ("?propagationPolicy=Foreground", None, "foregroundDeletion")],
    )  # fmt: skip
    async def test_what_becomes_of_dependents_is_a_finalizer(
        self, http: Http, query: str, options: Any, finalizer: str
    ) -> None:
        """The garbage collector takes it away; it is not here, and anybody may."""
        await http.made(RCS, rc())
        assert (await http("DELETE", f"{RCS}/rc1{query}", options))[0] == 200
        ending = (await http.got(f"{RCS}/rc1"))["metadata"]
        assert (ending["finalizers"], ending["deletionGracePeriodSeconds"]) == ([finalizer], 0)
        assert ending["deletionTimestamp"] >= ending["creationTimestamp"]
        assert (await http("DELETE", f"{RCS}/rc1", {"propagationPolicy": "Background"}))[0] == 200
        assert (await http("GET", f"{RCS}/rc1"))[0] == 404

    async def test_finalizers_hold_it_up(self, http: Http) -> None:
        held = f"{PODS}/p1"
        made = await http.made(PODS, pod(finalizers=["example.org/a", "example.org/b"]))
        code, ending = await http("DELETE", held)
        assert (code, ending["metadata"]["finalizers"]) == (200, ["example.org/a", "example.org/b"])
        assert (await http("DELETE", held)) == (200, ending)
        more = {"metadata": {"finalizers": ["example.org/a", "example.org/new"]}}
        refused = failed(await http("PATCH", held, more, Content_Type=MERGE))
        assert refused[:2] == (422, "Invalid")
        assert "metadata.finalizers: forbidden: no new finalizers can be added if the object is being" in refused[2]
        fewer = {"metadata": {"finalizers": ["example.org/b"]}}
        code, ending = await http("PATCH", held, fewer, Content_Type=MERGE)
        assert (code, ending["metadata"]["finalizers"]) == (200, ["example.org/b"])
        del ending["metadata"]["finalizers"]
        assert (await http("PUT", f"{held}?dryRun=All", ending))[0] == 200
        code, last = await http("PUT", held, ending)
        assert (code, last["metadata"]["uid"]) == (200, made["metadata"]["uid"])
        assert "finalizers" not in last["metadata"]
        assert (await http("GET", held))[0] == 404
        events = await http.frames(
            f"{PODS}?watch=true&timeoutSeconds=1&resourceVersion={made['metadata']['resourceVersion']}"
        )
        assert [type for type, _ in events] == ["MODIFIED", "MODIFIED", "DELETED"]

    async def test_a_bound_pod_with_a_finalizer_ends_when_both_say_so(self, http: Http) -> None:
        held, free = f"{PODS}/p1", {"metadata": {"finalizers": None}}
        await http.made(PODS, pod(finalizers=["example.org/a"]))
        await http("POST", f"{held}/binding", {"target": {"name": "n1"}})
        await http("DELETE", f"{held}?gracePeriodSeconds=30")
        assert (await http("PATCH", held, free, Content_Type=MERGE))[0] == 200
        await http.got(held)  # its containers have 30 seconds
        assert (await http("DELETE", f"{held}?gracePeriodSeconds=0"))[0] == 200
        assert (await http("GET", held))[0] == 404

    async def test_of_many_who_take_finalizers_away_the_last_ends_it(self, http: Http) -> None:
        names = [f"example.org/f{n}" for n in range(6)]
        await http.made(PODS, pod(finalizers=names))

        async def take(name: str) -> int:
            change = {"metadata": {"$deleteFromPrimitiveList/finalizers": [name]}}
            return (await http("PATCH", f"{PODS}/p1", change, Content_Type=STRATEGIC))[0]

        codes = await asyncio.gather(*(take(name) for name in names[:3]), http("DELETE", f"{PODS}/p1"))
        assert codes[:3] == [200] * 3
        assert codes[3][0] == 200
        assert await asyncio.gather(*(take(name) for name in names[3:])) == [200] * 3
        assert (await http("GET", f"{PODS}/p1"))[0] == 404

    async def test_an_unknown_propagation_policy(self, http: Http) -> None:
        await http.made(RCS, rc())
        refused = failed(await http("DELETE", f"{RCS}/rc1", {"propagationPolicy": "Sideways"}))
        assert refused[:2] == (400, "BadRequest")
        assert "expected one of Background, Foreground, Orphan" in refused[2]
        await http.got(f"{RCS}/rc1")

    async def test_precondition(self, http: Http) -> None:
        made = await http.made(PODS, pod())
        wrong = {"preconditions": {"uid": "other"}}
        assert failed(await http("DELETE", f"{PODS}/p1", wrong))[:2] == (409, "Conflict")
        right = {"preconditions": {"uid": made["metadata"]["uid"]}}
        assert (await http("DELETE", f"{PODS}/p1", right))[0] == 200

    async def test_a_bound_pod_is_given_its_time(self, http: Http) -> None:
        await http.made(PODS, pod())
        await http("POST", f"{PODS}/p1/binding", {"target": {"name": "n1"}})
        code, ending = await http("DELETE", f"{PODS}/p1?gracePeriodSeconds=30")
        assert (code, ending["metadata"]["deletionGracePeriodSeconds"]) == (200, 30)
        assert ending["metadata"]["deletionTimestamp"] > ending["metadata"]["creationTimestamp"]
        _, again = await http("DELETE", f"{PODS}/p1?gracePeriodSeconds=60")
        assert again == ending
        _, shorter = await http("DELETE", f"{PODS}/p1?gracePeriodSeconds=1")
        assert shorter["metadata"]["deletionGracePeriodSeconds"] == 1
        assert (await http("DELETE", f"{PODS}/p1", {"gracePeriodSeconds": 0}))[0] == 200
        assert (await http("GET", f"{PODS}/p1"))[0] == 404

    async def test_collection(self, http: Http) -> None:
        for n in range(3):
            await http.made(PODS, pod(f"p{n}", labels={"n": str(n)}))
        code, gone = await http("DELETE", f"{PODS}?labelSelector=n!%3D1")
        assert (code, [item["metadata"]["name"] for item in gone["items"]]) == (200, ["p0", "p2"])
        assert [item["metadata"]["name"] for item in (await http.got(PODS))["items"]] == ["p1"]

    async def test_dry_run_deletes_nothing(self, http: Http) -> None:
        await http.made(PODS, pod())
        assert (await http("DELETE", f"{PODS}/p1?dryRun=All"))[0] == 200
        assert (await http("DELETE", f"{PODS}/p1", {"dryRun": ["All"]}))[0] == 200
        await http.got(f"{PODS}/p1")


class TestList:
    async def test_in_key_order_within_its_namespace(self, http: Http) -> None:
        for namespace, name in (("b", "x"), ("a", "y"), ("a", "x"), ("aa", "z")):
            await http.made(f"/api/v1/namespaces/{namespace}/pods", pod(name))
        listed = await http.got("/api/v1/pods")
        assert listed["kind"] == "PodList"
        keys = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]
        assert keys == [("a", "x"), ("a", "y"), ("aa", "z"), ("b", "x")]
        assert [i["metadata"]["name"] for i in (await http.got("/api/v1/namespaces/a/pods"))["items"]] == ["x", "y"]

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("labelSelector=n%3D1", ["p1"]),
            ("labelSelector=n+in+(1,2)", ["p1", "p2"]),
            ("labelSelector=!n", []),
            ("fieldSelector=metadata.name!%3Dp1", ["p0", "p2"]),
            ("fieldSelector=status.phase%3DPending&labelSelector=n%3D2", ["p2"]),
        ],
    )
    async def test_selectors(self, http: Http, query: str, names: list[str]) -> None:
        for n in range(3):
            await http.made(PODS, pod(f"p{n}", labels={"n": str(n)}))
        assert [item["metadata"]["name"] for item in (await http.got(f"{PODS}?{query}"))["items"]] == names

    async def test_in_parts_as_of_one_moment(self, http: Http) -> None:
        for n in range(5):
            await http.made(PODS, pod(f"p{n}"))
        first = await http.got(f"{PODS}?limit=2")
        assert first["metadata"]["remainingItemCount"] == 3
        await http("DELETE", f"{PODS}/p3")
        await http.made(PODS, pod("p9"))
        second = await http.got(f"{PODS}?limit=2&continue={first['metadata']['continue']}")
        third = await http.got(f"{PODS}?limit=2&continue={second['metadata']['continue']}")
        names = [item["metadata"]["name"] for part in (first, second, third) for item in part["items"]]
        assert names == ["p0", "p1", "p2", "p3", "p4"]
        assert "continue" not in third["metadata"]
        assert {part["metadata"]["resourceVersion"] for part in (first, second, third)} == {
            first["metadata"]["resourceVersion"]
        }

    async def test_exactly_then(self, http: Http, server: Server) -> None:
        for n in range(3):
            await http.made(PODS, pod(f"p{n}", labels={"n": str(n)}))
        then = (await http.got(PODS))["metadata"]["resourceVersion"]
        await http("DELETE", f"{PODS}/p1")
        await http.made(PODS, pod("p9"))

        async def names(query: str) -> list[str]:
            listing = await http.got(f"{PODS}?resourceVersion={then}{query}")
            assert "Match=NotOlderThan" in query or listing["metadata"]["resourceVersion"] == then
            return [item["metadata"]["name"] for item in listing["items"]]

        assert await names("&resourceVersionMatch=Exact") == ["p0", "p1", "p2"]
        assert await names("&resourceVersionMatch=Exact&labelSelector=n%3D1") == ["p1"]
        assert await names("&resourceVersionMatch=NotOlderThan") == ["p0", "p2", "p9"]
        assert await names("&limit=2") == ["p0", "p1"]
        first = await http.got(f"{PODS}?resourceVersion={then}&resourceVersionMatch=Exact&limit=2")
        rest = await http.got(f"{PODS}?limit=2&continue={first['metadata']['continue']}")
        assert [item["metadata"]["name"] for item in rest["items"]] == ["p2"]
        await server.storage.compact(await server.storage.revision())
        gone = failed(await http("GET", f"{PODS}?resourceVersion={then}&resourceVersionMatch=Exact"))
        assert gone == (410, "Expired", "The resourceVersion for the provided list is too old.")
        early = await http("GET", f"{PODS}?resourceVersion=999999&resourceVersionMatch=Exact")
        assert failed(early)[:2] == (504, "Timeout")

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("resourceVersionMatch=Exact",
             "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"),
            ("resourceVersionMatch=Sometimes&resourceVersion=5",
             'Unsupported value: "Sometimes": supported values: "Exact", "NotOlderThan", ""'),
            ("resourceVersionMatch=Exact&resourceVersion=0",
             'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
            ("resourceVersionMatch=Exact&resourceVersion=5&continue=x",
             "Forbidden: resourceVersionMatch is forbidden when continue is provided"),
            ("resourceVersionMatch=Exact&resourceVersion=5&watch=true",
             "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
        ],
    )  # fmt: skip
    async def test_a_match_that_does_not_fit(self, http: Http, query: str, says: str) -> None:
        refused = failed(await http("GET", f"{PODS}?{query}"))
        assert refused == (422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {says}')

    async def test_a_part_of_forgotten_history_is_gone(self, http: Http, server: Server) -> None:
        for n in range(3):
            await http.made(PODS, pod(f"p{n}"))
        first = await http.got(f"{PODS}?limit=1")
        await http.made(PODS, pod("p9"))
        await server.storage.compact(await server.storage.revision())
        code, status = await http("GET", f"{PODS}?limit=1&continue={first['metadata']['continue']}")
        assert (code, status["reason"]) == (410, "Expired")

    async def test_table(self, http: Http) -> None:
        await http.made(PODS, pod())
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        code, table = await http("GET", PODS, Accept=accept)
        assert (code, table["kind"]) == (200, "Table")
        assert table["rows"][0]["cells"][:3] == ["p1", "0/1", "Pending"]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        assert (await http("GET", f"{PODS}/p1", Accept=accept))[1]["rows"][0]["cells"][0] == "p1"
        assert (await http("GET", PODS, Accept="application/json"))[1]["kind"] == "PodList"

    @pytest.mark.parametrize(
        ("query", "agent", "pretty"),
        [("", "curl/7", True), ("?pretty=true", "x", True), ("?pretty=false", "curl/7", False), ("", "x", False)],
    )
    async def test_pretty(self, http: Http, query: str, agent: str, pretty: bool) -> None:
        url = f"{http.base_url}/api/v1/namespaces/default{query}"
        async with http.session.get(url, headers={"User-Agent": agent}) as answer:
            text = await answer.read()
        assert (b'\n  "kind": "Namespace"' in text) is pretty
        assert msgspec.json.decode(text)["kind"] == "Namespace"
