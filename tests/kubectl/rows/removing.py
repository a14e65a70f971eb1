"""delete in all its ways."""

import json

from labkit.testing.eventually import eventually
from tests.kubectl.play import Call, Row, Session, Stored
from tests.kubectl.rows.objects import config, held, pod, rc

RUNS = Stored("pods/{ns}/web", "/status/phase", "Running")
TWO = Stored("controllers/{ns}/one", "/status/replicas", 2)


async def pods_of(session: Session) -> int:
    page = await session.lab.etcd.list(f"/registry/pods/{session.ns}/")
    return sum(json.loads(item.value)["metadata"].get("deletionTimestamp") is None for item in page.items)


async def pods_are_gone(session: Session) -> None:
    async def none() -> bool:
        return await pods_of(session) == 0

    await eventually(none, within=10, every=0.05, expect="the pods of the deleted controller gone")


async def pods_live_on(session: Session) -> None:
    """Also when the replication manager has dealt with what came after."""
    await session.until("controllers/{ns}/one", "", None)
    await session.lab.post(f"/api/v1/namespaces/{session.ns}/replicationcontrollers", rc("two", 1))
    await session.until("controllers/{ns}/two", "/status/replicas", 1)
    assert await pods_of(session) == 2 + 1


ROWS = (
    Row("delete", (
        RUNS,
        Call("delete pod web", says=(r'^pod "web" deleted',)),
        Stored("pods/{ns}/web"),
        Call("delete pod web", says=('pods "web" not found',), code=1),
        Call("delete pod web --ignore-not-found", prints=""),
        Call("delete cm red blue", says=('configmap "red" deleted', 'configmap "blue" deleted')),
    ), given=(pod("web"), config("red"), config("blue"))),
    Row("delete -f", (
        Call("delete -f -", says=(r'^configmap "red" deleted',),
             input='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"red"}}'),
        Stored("configmaps/{ns}/red"),
    ), given=(config("red"),)),
    Row("delete -l, --all", (
        Call("delete pods -l colour=red", says=('pod "web" deleted',), never=("other",)),
        Stored("pods/{ns}/other", "/metadata/name", "other"),
        Call("delete pods,cm --all", says=('pod "other" deleted', 'configmap "red" deleted')),
        Call("get pods,cm", says=("No resources found",)),
    ), given=(pod("web"), pod("other", labels={"colour": "blue"}), config("red"))),
    Row("delete --now, --force", (
        RUNS,
        Call("delete pod web --now", says=('pod "web" deleted',)),
        Stored("pods/{ns}/web"),
        Call("delete pod other --force --grace-period=0", says=('pod "other" force deleted',)),
        Stored("pods/{ns}/other"),
    ), given=(pod("web", terminationGracePeriodSeconds=30), pod("other", terminationGracePeriodSeconds=30))),
    Row("delete with a grace period", (
        RUNS,
        Call("delete pod web --wait=false --grace-period=20", says=('pod "web" deleted',)),
        Stored("pods/{ns}/web"),
    ), given=(pod("web"),)),
    Row("delete rc", (TWO, Call("delete rc one", says=('replicationcontroller "one" deleted',)), pods_are_gone),
        given=(rc("one", 2),)),
    Row("delete rc --cascade=orphan", (
        TWO, Call("delete rc one --cascade=orphan", says=('replicationcontroller "one" deleted',)), pods_live_on,
    ), given=(rc("one", 2),)),
    Row("delete rc --cascade=foreground", (
        TWO, Call("delete rc one --cascade=foreground", says=('replicationcontroller "one" deleted',)),
        Stored("controllers/{ns}/one"), pods_are_gone,
    ), given=(rc("one", 2),)),
    Row("delete, held up by a finalizer", (
        Call("delete cm red --wait=false", says=('configmap "red" deleted',)),
        Stored("configmaps/{ns}/red", "/metadata/deletionGracePeriodSeconds", 0),
        Call("patch cm red --type=merge -p '{\"metadata\":{\"finalizers\":[\"example.org/other\"]}}'", code=1,
             says=("no new finalizers can be added if the object is being deleted",)),
        Call("patch cm red --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]'",
             says=("configmap/red patched",)),
        Stored("configmaps/{ns}/red"),
    ), given=(held("red", "example.org/mine"),)),
    Row("delete --dry-run=server", (
        Call("delete cm red --dry-run=server",
             says=(r'^configmap "red" deleted( from \S+ namespace)? \(server dry run\)$',)),
        Stored("configmaps/{ns}/red", "/metadata/name", "red"),
    ), given=(config("red"),)),
    Row("delete namespace", (
        Call("create namespace {ns}-x", says=("created",)),
        Call("create -f - --namespace {ns}-x", says=("configmap/red created",),
             input='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"red"}}'),
        Call("delete namespace {ns}-x", says=(r'^namespace "{ns}-x" deleted',)),
        Stored("namespaces/{ns}-x"),
        Stored("configmaps/{ns}-x/red"),
    )),
)  # fmt: skip
