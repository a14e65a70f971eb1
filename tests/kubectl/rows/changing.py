"""label, annotate, patch, set, scale, wait, rollout."""

from tests.kubectl.play import Call, Row, Session, Stored
from tests.kubectl.rows.objects import config, pod, rc, service

RUNS = Stored("pods/{ns}/web", "/status/phase", "Running")
IMAGE = "/spec/template/spec/containers/0/image"


async def waited_for(session: Session) -> None:
    """kubectl wait sits there until somebody else brings the state about."""
    waiting = await session.start("wait --for=delete pod/web --timeout=30s")
    await session.run("wait --for=condition=Ready pod/web --timeout=20s")
    assert waiting.returncode is None, "kubectl wait --for=delete did not wait"
    await session.run("delete pod web --wait=false")
    out, err = await waiting.communicate()
    assert waiting.returncode == 0, (out, err)


async def waited_for_creation(session: Session) -> None:
    waiting = await session.start("wait --for=create cm/late --timeout=20s")
    await session.lab.post(f"/api/v1/namespaces/{session.ns}/configmaps", config("late"))
    out, err = await waiting.communicate()
    assert (waiting.returncode, out) == (0, b"configmap/late condition met\n"), (out, err)


ROWS = (
    Row("label", (
        Call("label pod web size=big", prints="pod/web labeled\n"),
        Stored("pods/{ns}/web", "/metadata/labels", {"colour": "red", "size": "big"}),
        Call("label pod web size=small", says=("already has a value", "--overwrite"), code=1),
        Call("label pod web size=small --overwrite", prints="pod/web labeled\n"),
        Call("label pods -l size=small size-", says=(r"^pod/web (un)?labeled$",)),
        Stored("pods/{ns}/web", "/metadata/labels", {"colour": "red"}),
    ), given=(pod("web"),)),
    Row("annotate", (
        Call("annotate pod web note='two words'", says=(r"^pod/web annotated?$",)),
        Stored("pods/{ns}/web", "/metadata/annotations/note", "two words"),
        Call("annotate pod web note-", says=(r"^pod/web annotated?$",)),
        Stored("pods/{ns}/web", "/metadata/annotations/note"),
    ), given=(pod("web"),)),
    Row("patch", (
        Call("""patch rc one -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx"}]}}}}'""",
             prints="replicationcontroller/one patched\n"),
        Stored("controllers/{ns}/one", IMAGE, "nginx"),
        Call("""patch rc one --type=merge -p '{"metadata":{"labels":{"colour":null,"size":"big"}}}'""",
             prints="replicationcontroller/one patched\n"),
        Stored("controllers/{ns}/one", "/metadata/labels", {"size": "big"}),
        Call(f"""patch rc one --type=json -p '[{{"op":"replace","path":"{IMAGE}","value":"busybox"}}]'""",
             prints="replicationcontroller/one patched\n"),
        Stored("controllers/{ns}/one", IMAGE, "busybox"),
        Call("""patch rc one -p '{"spec":{"replicas":-1}}'""",
             says=("spec.replicas: invalid value '-1': must be non-negative",), code=1),
    ), given=(rc("one", 0),)),
    Row("patch --subresource", (
        Call("""patch rc one --subresource=status --type=merge -p '{"status":{"replicas":7},"spec":{"replicas":5}}'""",
             prints="replicationcontroller/one patched\n"),
        Stored("controllers/{ns}/one", "/spec/replicas", 0),
    ), given=(rc("one", 0),), since="1.24"),
    Row("set image", (
        Call("set image rc/one c=nginx", prints="replicationcontroller/one image updated\n"),
        Stored("controllers/{ns}/one", IMAGE, "nginx"),
        Call("set image rc/one nope=nginx", says=('unable to find container named "nope"',), code=1),
    ), given=(rc("one", 0),)),
    Row("set env, resources, selector", (
        Call("set env rc/one A=b", prints="replicationcontroller/one env updated\n"),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/env", [{"name": "A", "value": "b"}]),
        Call("set env rc/one --list", says=(r"^A=b$",)),
        Call("set env rc/one A-", prints="replicationcontroller/one env updated\n"),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/env"),
        Call("set resources rc one --limits=cpu=200m",
             prints="replicationcontroller/one resource requirements updated\n"),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/resources/limits/cpu", "200m"),
        Call("set selector svc web a=b", says=("service/web selector updated",)),
        Stored("services/specs/{ns}/web", "/spec/selector", {"a": "b"}),
    ), given=(rc("one", 0), service("web"))),
    Row("scale", (
        Call("scale rc one --replicas=2", prints="replicationcontroller/one scaled\n"),
        Stored("controllers/{ns}/one", "/status/replicas", 2),
        Call("scale rc one --current-replicas=2 --replicas=1", prints="replicationcontroller/one scaled\n"),
        Stored("controllers/{ns}/one", "/status/replicas", 1),
        Call("scale rc one --current-replicas=7 --replicas=3", says=("[Ee]xpected replicas to be 7, was 1",), code=1),
        Stored("controllers/{ns}/one", "/spec/replicas", 1),
    ), given=(rc("one", 0),)),
    Row("wait", (
        RUNS,
        Call("wait --for=condition=Ready pod/web --timeout=20s", prints="pod/web condition met\n"),
        Call("wait --for=condition=Nope pod/web --timeout=1s", says=("timed out waiting for the condition",), code=1),
    ), given=(pod("web"),)),
    Row("wait --for=delete", (RUNS, waited_for), given=(pod("web"),)),
    Row("wait --for=create", (waited_for_creation,), since="1.31"),
    Row("wait --for=jsonpath", (
        Call("wait --for=jsonpath='{.status.phase}'=Running pod/web --timeout=20s", prints="pod/web condition met\n"),
    ), given=(pod("web"),), since="1.23"),
    Row("rollout", (
        Call("rollout status rc one", says=("no status viewer has been implemented for",), code=1),
        Call("rollout history rc one", says=("no history viewer has been implemented for",), code=1),
    ), given=(rc("one", 0),)),
    Row("autoscale", (
        Call("autoscale rc one --max=3", says=(
            "could not find the requested resource|no matches for kind|failed to create autoscaling/v2 HPA",), code=1),
    ), given=(rc("one", 0),)),
)  # fmt: skip
