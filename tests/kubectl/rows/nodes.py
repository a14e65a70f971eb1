"""cordon, drain, taint, label of nodes."""

from tests.kubectl.play import Call, Row, Session, Stored
from tests.kubectl.rows.objects import node, pod

WORKER = "minions/{ns}"


async def drained(session: Session) -> None:
    """The node is closed and its pods are gone, those elsewhere are not."""
    words = "drain {ns} --ignore-daemonsets --timeout=30s"
    _, refused = await session.run(words, code=1)
    assert "alone" in refused, f"expected that drain refuses a pod without a controller: {refused}"

    out, _ = await session.run(f"{words} --force")
    assert f"node/{session.ns} " in out, out
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
        node("{ns}"), pod("alone", nodeName="{ns}"), pod("elsewhere"),
    )),
    Row("taint (there are none: refused)", (
        Call("taint node {ns} key=value:NoSchedule", says=(r'\(BadRequest\).*unknown field "spec.taints"',), code=1),
        Stored(WORKER, "/spec/taints"),
    ), given=(node("{ns}"),), since="1.24"),
    Row("taint (there are none: warned)", (
        Call("taint node {ns} key=value:NoSchedule", says=('[Ww]arning: unknown field "spec.taints"',)),
        Stored(WORKER, "/spec/taints"),
    ), given=(node("{ns}"),), until="1.23"),
    Row("label node", (
        Call("label node {ns} disk=ssd", prints="node/{ns} labeled\n"),
        Stored(WORKER, "/metadata/labels/disk", "ssd"),
        Call("get nodes -l disk=ssd,kubernetes.io/hostname!=x -o name", says=("^node/{ns}$",)),
    ), given=(node("{ns}"),)),
)  # fmt: skip
