"""cordon, drain, taint, label of nodes."""

from tests.kubectl.play import Call, Row, Session, Stored
from tests.kubectl.rows.objects import node, pod, rc

WORKER = "minions/{ns}"


async def drained(session: Session) -> None:
    """The node is closed, its pods are gone, that of a controller is made anew elsewhere."""
    await session.until("controllers/{ns}/one", "/status/replicas", 1)
    out, _ = await session.run("drain {ns} --force --ignore-daemonsets --timeout=30s")
    assert "drained" in out or "evicted" in out, out
    await session.until("pods/{ns}/alone", "", None)
    await session.until("pods/{ns}/elsewhere", "/metadata/name", "elsewhere")
    await session.until(WORKER, "/spec/unschedulable", True)


ROWS = (
    Row("cordon, uncordon", (
        Call("cordon {ns}", prints="node/{ns} cordoned\n"),
        Stored(WORKER, "/spec/unschedulable", True),
        Call("get node {ns}", says=("SchedulingDisabled",)),
        Call("uncordon {ns}", prints="node/{ns} uncordoned\n"),
        Stored(WORKER, "/spec/unschedulable"),
    ), given=(node("{ns}"),)),
    Row("drain", (drained,), given=(
        node("{ns}"), rc("one", 1), pod("alone", nodeName="{ns}"), pod("elsewhere"),
    )),
    Row("taint", (
        Call("taint node {ns} key=value:NoSchedule", says=('[Ww]arning: unknown field "spec.taints"',)),
        Stored(WORKER, "/spec/taints"),
    ), given=(node("{ns}"),)),
    Row("label node", (
        Call("label node {ns} disk=ssd", prints="node/{ns} labeled\n"),
        Stored(WORKER, "/metadata/labels/disk", "ssd"),
        Call("get nodes -l disk=ssd,kubernetes.io/hostname!=x -o name", says=("^node/{ns}$",)),
    ), given=(node("{ns}"),)),
)  # fmt: skip
