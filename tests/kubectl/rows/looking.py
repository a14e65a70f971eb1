"""get and describe."""

import asyncio

from labkit.testing.eventually import eventually
from tests.kubectl.play import Call, Row, Session, Stored, ended
from tests.kubectl.rows.objects import config, node, of_kind, pod, rc, service

RUNS = Stored("pods/{ns}/web", "/status/phase", "Running")
PODS = "NAME READY STATUS RESTARTS AGE"


async def watched(session: Session) -> None:
    """The list first, then a line per change; the resource's name is on each of them with --output-watch-events."""
    watching = await session.start("get pods --watch --output-watch-events")
    assert watching.stdout is not None
    try:
        lines = [(await asyncio.wait_for(watching.stdout.readline(), 20)).decode().split() for _ in range(2)]
        assert lines[0] == ["EVENT", *PODS.split()], lines
        assert lines[1][:4] == ["ADDED", "web", "1/1", "Running"], lines
        await session.run("label pod web size=big")
        changed = (await asyncio.wait_for(watching.stdout.readline(), 20)).decode().split()
        assert changed[:2] == ["MODIFIED", "web"], changed
        await session.run("delete pod web")
        gone = (await asyncio.wait_for(watching.stdout.readline(), 20)).decode().split()
        while gone and gone[0] == "MODIFIED":
            gone = (await asyncio.wait_for(watching.stdout.readline(), 20)).decode().split()
        assert gone[:2] == ["DELETED", "web"], gone
    finally:
        await ended(watching)


async def watched_alone(session: Session) -> None:
    watching = await session.start("get pod web --watch --no-headers")
    assert watching.stdout is not None
    try:
        assert (await asyncio.wait_for(watching.stdout.readline(), 20)).split()[:1] == [b"web"]
        await session.run("label pod other size=big")
        await session.run("label pod web size=big")
        assert (await asyncio.wait_for(watching.stdout.readline(), 20)).split()[:1] == [b"web"]
    finally:
        await ended(watching)


GET = (
    Row("get pods", (
        RUNS,
        Call("get pods", table=(PODS, "web 1/1 Running 0 *s")),
        Call("get pods --no-headers", table=("web 1/1 Running 0 *s",)),
    ), given=(pod("web"),)),
    Row("get -o wide", (
        RUNS,
        Call("get pods -o wide", table=(
            f"{PODS} IP NODE NOMINATED NODE READINESS GATES", "web 1/1 Running 0 *s 10.244.* {node} <none> <none>",
        )),
        Call("get rc -o wide", table=(
            "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR", "one 0 0 0 *s c redis name=one",
        )),
        Call("get svc web -o wide", table=(
            "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
            "web NodePort 10.0.* <none> 80:3*/TCP *s colour=red",
        )),
        Call("get node {node} -o wide", says=(
            r"^NAME\s+STATUS\s+ROLES\s+AGE\s+VERSION\s+INTERNAL-IP\s+EXTERNAL-IP\s+OS-IMAGE\s+KERNEL-VERSION",
            r"^agent1\s+Ready\s+<none>\s+\d+m?\d*s?\s+v1\.0\.7-labkit-\S+\s+127\.0\.0\.1\s+<none>",
        )),
    ), given=(pod("web"), rc("one", 0), service("web", {"colour": "red"}, type="NodePort"))),
    Row("get -A", (
        Call("get svc -A", says=(r"^NAMESPACE\s+NAME\s+TYPE", r"^default\s+kubernetes\s+ClusterIP\s+10\.0\.0\.1\s",
                                 r"^{ns}\s+web\s+ClusterIP")),
    ), given=(service("web"),)),
    Row("get -l", (
        Call("get cm -l colour=red", says=(r"^red\s",), never=("^blue",)),
        Call("get cm -l 'colour in (blue,green),!size' -o name", prints="configmap/blue\n"),
        Call("get cm -l colour=none", says=("No resources found",)),
        Call("get cm -l 'colour in red'", says=("colour in red|invalid|unable to parse",), code=1),
    ), given=tuple(
        config(name) | {"metadata": {"name": name, "labels": {"colour": name}}} for name in ("red", "blue")
    )),
    Row("get --show-labels", (
        Call("get pods --show-labels", says=(r"^NAME.*LABELS$", r"^web\s.*colour=red$")),
        Call("get pods -L colour", says=(r"^NAME.*COLOUR$", r"^web\s.*red$")),
    ), given=(pod("web"),)),
    Row("get --field-selector", (
        RUNS,
        Call("get pods --field-selector=spec.nodeName={node},status.phase!=Failed -o name", prints="pod/web\n"),
        Call("get pods --field-selector=metadata.name!=web", says=("No resources found",)),
        Call("get pods --field-selector=spec.nope=x", says=("spec.nope",), code=1),
    ), given=(pod("web"),)),
    Row("get NAME", (
        Call("get cm red", table=("NAME DATA AGE", "red 2 *s")),
        Call("get cm nope", says=(r'Error from server \(NotFound\): configmaps "nope" not found',), code=1),
        Call("get cm nope --ignore-not-found", prints=""),
        Call("get cm/red secret/nope", says=(r"^NAME\s+DATA", 'secrets "nope" not found'), code=1),
    ), given=(config("red", A="1", B="2"),)),
    Row("get T1,T2", (
        Call("get cm,svc -o name", says=(r"^configmap/red$", r"^service/web$")),
        Call("get cm,svc", says=(r"^NAME\s+DATA\s+AGE", r"^configmap/red\s", r"^NAME\s+TYPE", r"^service/web\s")),
        Call("get nonsense", says=('the server doesn\'t have a resource type "nonsense"',), code=1),
    ), given=(config("red"), service("web"))),
    Row("get all", (
        Call("get all", says=(r"^pod/web\s", r"^replicationcontroller/one\s", r"^service/web\s"), never=("configmap",)),
    ), given=(pod("web"), rc("one", 0), service("web"), config("red"))),
    Row("get -o yaml, json, name", (
        Call("get cm red -o yaml", says=(r"^apiVersion: v1$", r"^kind: ConfigMap$", r"^  A: \"1\"$", r"^  uid: \S+$")),
        Call("get cm -o json", says=(r'"kind": "List"', r'"A": "1"')),
        Call("get cm -o name", prints="configmap/red\n"),
        Call("get cm -o yaml --chunk-size=1", says=(r"^kind: List$", r"^    name: red$")),
    ), given=(config("red", A="1"),)),
    Row("get -o jsonpath, template", (
        Call("get svc web -o jsonpath='{.spec.ports[0].targetPort}'", prints="8080"),
        Call("get svc -o jsonpath='{.items[*].metadata.name}'", prints="web"),
        Call("get svc web -o go-template='{{.spec.type}}'", prints="ClusterIP"),
    ), given=(service("web"),)),
    Row("get -o custom-columns", (
        Call("get pods -o custom-columns=N:.metadata.name,I:.spec.containers[*].image,X:.spec.nope",
             table=("N I X", "web redis <none>")),
    ), given=(pod("web"),)),
    Row("get --sort-by", (
        Call("get cm --sort-by=.data.order --no-headers", table=("b 1 *s", "c 1 *s", "a 1 *s")),
        Call("get cm --sort-by=.metadata.name -o name", prints="configmap/a\nconfigmap/b\nconfigmap/c\n"),
    ), given=(config("a", order="3"), config("b", order="1"), config("c", order="2"))),
    Row("get -w", (RUNS, watched), given=(pod("web"),)),
    Row("get NAME -w", (RUNS, Stored("pods/{ns}/other", "/status/phase", "Running"), watched_alone),
        given=(pod("web"), pod("other"))),
    Row("get -f", (
        Call("get -f -", says=(r"^NAME\s+DATA\s+AGE", r"^red\s"),
             input='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"red"}}'),
    ), given=(config("red"),)),
    Row("get events", (
        RUNS,
        Call("get events", says=(r"^LAST SEEN\s+TYPE\s+REASON\s+OBJECT\s+MESSAGE",
                                 r"\s[Ss]cheduled\s+pod/web\s+Successfully assigned web to agent1")),
        Call("get events --field-selector involvedObject.name=nope", says=("No resources found",)),
    ), given=(pod("web"),)),
    Row("events", (
        RUNS,
        Call("events", says=(r"^LAST SEEN\s+TYPE\s+REASON\s+OBJECT\s+MESSAGE", r"Pod/web\s+Successfully assigned web")),
        Call("events --for pod/web", says=(r"[Ss]cheduled\s+Pod/web",)),
        Call("events --for pod/nope", says=("No events found",)),
    ), given=(pod("web"),), since="1.26"),
    Row("alpha events", (
        RUNS,
        Call("alpha events", says=(r"^LAST SEEN\s+TYPE\s+REASON\s+OBJECT\s+MESSAGE",
                                   r"Pod/web\s+Successfully assigned")),
    ), given=(pod("web"),), since="1.23", until="1.25"),
)  # fmt: skip


async def endpoints_are_there(session: Session) -> None:
    await session.until("pods/{ns}/web", "/status/phase", "Running")
    address = (await session.lab.stored(session.fill("pods/{ns}/web")))["status"]["podIP"]
    await session.until("services/endpoints/{ns}/web", "/subsets/0/addresses/0/ip", address)
    out, _ = await session.run("describe svc web")
    assert f"{address}:8080" in out, f"expected Endpoints: {address}:8080 in {out}"


async def watch_slices(session: Session) -> None:
    """The list, and a line for the slice when its Endpoints are gone."""
    watching = await session.start("get endpointslices --watch --output-watch-events --no-headers")
    assert watching.stdout is not None
    try:
        first = (await asyncio.wait_for(watching.stdout.readline(), 20)).split()
        assert first[:3] == [b"ADDED", b"web-1", b"IPv4"], first
        await session.run("delete svc web")
        line = first
        while line[:1] != [b"DELETED"]:  # the endpoints of a service without pods may come first
            line = (await asyncio.wait_for(watching.stdout.readline(), 20)).split()
            assert line[1:2] == [b"web-1"], line
    finally:
        await ended(watching)


SLICES = (
    Row("get endpointslices", (
        Stored("services/endpoints/{ns}/web", "/subsets/0/ports/0/port", 8080),
        Call("get endpointslices", table=("NAME ADDRESSTYPE PORTS ENDPOINTS AGE", "web-1 IPv4 8080 10.244.* *s")),
        Call("get endpointslices -l kubernetes.io/service-name=nope", says=("No resources found",)),
        Call("get endpointslice web-1 -o jsonpath={.endpoints[0].targetRef.name}", prints="web"),
        Call("get endpointslice nope", says=("NotFound",), code=1),
    ), given=(pod("web"), service("web", {"colour": "red"}))),
    Row("get endpointslices -w", (Stored("services/endpoints/{ns}/web", "/subsets/0/ports/0/port", 8080), watch_slices),
        given=(pod("web"), service("web", {"colour": "red"}))),
)  # fmt: skip


async def figures_are_there(session: Session) -> None:
    """A container that has just begun has none yet; exactly what its program is said to use."""
    await session.until("pods/{ns}/web", "/status/phase", "Running")

    async def there() -> bool:
        out, _ = await session.run("get podmetrics.metrics.k8s.io -o name")
        return "/web" in out

    await eventually(there, within=15, every=0.5, expect="figures of the pod")


TOP = (
    Row("top", (
        figures_are_there,
        Call("top pods", table=("NAME CPU(cores) MEMORY(bytes)", "web 5m 16Mi")),
        Call("top pod web --containers", table=("POD NAME CPU(cores) MEMORY(bytes)", "web c 5m 16Mi")),
        Call("top nodes", says=(r"^NAME\s+CPU\(cores\)\s+CPU\(?%\)?\s+MEMORY\(bytes\)\s+MEMORY\(?%\)?",
                                r"^agent1\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%")),
        Call("top pod nope", says=("NotFound|not found",), code=1),
    ), given=(pod("web"),)),
)  # fmt: skip
DESCRIBE = (
    Row("describe pod", (
        RUNS,
        Call("describe pod web", says=(
            r"^Name:\s+web$", r"^Node:\s+agent1/127\.0\.0\.1$", r"^Status:\s+Running$", r"Image:\s+redis$",
            r"Ready:\s+True$", r"Scheduled|scheduled", r"Successfully assigned web to agent1",
        )),
    ), given=(pod("web"),)),
    Row("describe rc", (
        Stored("controllers/{ns}/one", "/status/readyReplicas", 2),
        Call("describe rc one", says=(
            r"^Selector:\s+name=one$", r"^Replicas:\s+2 current / 2 desired$", r"^Pods Status:\s+2 Running / 0 Waiting",
            r"Created pod: one-\w{5}",
        )),
    ), given=(rc("one", 2),)),
    Row("describe svc", (
        endpoints_are_there,
        Call("describe svc web", says=(
            r"^Type:\s+ClusterIP$", r"^IP:\s+10\.0\.\d+\.\d+$", r"^Endpoints:\s+10\.244\.\d+\.\d+:8080$",
            r"^Session Affinity:\s+None$",
        )),
        Call("describe svc empty", says=(r"^Endpoints:\s+(<none>)?$",)),
    ), given=(pod("web"), service("web", {"colour": "red"}), service("empty", {"colour": "none"}))),
    Row("describe node", (
        RUNS,
        Call("describe node {node}", says=(
            r"^Name:\s+agent1$", r"^Unschedulable:\s+false$", r"^\s+Ready\s+True\s", r"^\s+{ns}\s+web\s",
            r"^\s+pods:\s+10k?",
        )),
    ), given=(pod("web"),)),
    Row("describe namespace", (
        Call("describe ns {ns}", says=(r"^Name:\s+{ns}$", r"^Status:\s+Active$")),
    )),
    Row("describe the rest", (
        Call("describe secret one", says=(r"^Type:\s+Opaque$", r"^password:\s+6 bytes$"), never=("c2VjcmV0",)),
        Call("describe cm red", says=(r"^A:\n----\n1$",)),
        Call("describe quota one", says=(r"^pods\s+\d\s+5$",)),
        Call("describe limits one", says=(r"^Container\s+cpu\s+\S+\s+2\s",)),
        Call("describe pvc one", says=(r"^Status:\s+Pending$",)),
        Call("describe sa one", says=(r"^Name:\s+one$",)),
        Call("describe pv {ns}", says=(r"^Capacity:\s+1Gi$", r"Type:\s+HostPath")),
    ), given=(
        of_kind("Secret", "one", data={"password": "c2VjcmV0"}), config("red", A="1"),
        of_kind("ResourceQuota", "one", spec={"hard": {"pods": "5"}}),
        of_kind("LimitRange", "one", spec={"limits": [{"type": "Container", "max": {"cpu": "2"}}]}),
        of_kind("PersistentVolumeClaim", "one", spec={
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "900Ti"}}}),
        of_kind("ServiceAccount", "one"),
        of_kind("PersistentVolume", "{ns}", spec={
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}),
    )),
    Row("describe what is not there", (
        Call("describe pod nope", says=('pods "nope" not found',), code=1),
        Call("describe node {ns}", says=(r"^Name:\s+{ns}$", r"^Unschedulable:\s+false$")),
    ), given=(node("{ns}"),)),
)  # fmt: skip
ROWS = (*GET, *TOP, *SLICES, *DESCRIBE)
