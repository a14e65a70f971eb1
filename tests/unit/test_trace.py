"""A decision is one JSON line that says where it was made."""

import asyncio
import io
import json

from labkit import trace
from labkit.api.types import ObjectMeta, Pod


def decide() -> None: ...


def test_a_decision_is_one_line_with_object_cause_and_function() -> None:
    out = io.StringIO()
    pod = Pod(metadata=ObjectMeta(name="x", namespace="default", uid="u", resource_version="7"))
    trace.Tracer("kube-scheduler", out).decision("bound", pod, cause="pod added", function=decide, node="agent1")
    (text,) = out.getvalue().splitlines()
    line = json.loads(text)
    assert line.pop("time") > 1_600_000_000_000_000
    assert line.pop("line") > 1
    assert line.pop("file").endswith("test_trace.py")
    assert line == {
        "component": "kube-scheduler", "level": "info", "decision": "bound", "object": "pods/default/x", "uid": "u",
        "resourceVersion": "7", "cause": "pod added", "function": f"{__name__}:decide", "node": "agent1",
    }  # fmt: skip


def test_a_function_of_the_project_is_named_by_its_path_from_the_root() -> None:
    assert trace.where(trace.object_path)["file"] == "labkit/trace.py"


def test_a_value_that_json_lacks_is_written_as_text() -> None:
    out = io.StringIO()
    trace.Tracer("kubelet", out).log("odd", level="warning", error=ValueError("no"))
    assert json.loads(out.getvalue())["error"] == "no"


def test_steps_go_along_with_the_next_decision_and_are_told_once() -> None:
    out = io.StringIO()
    tracer = trace.Tracer("kubelet", out)
    pod = Pod(metadata=ObjectMeta(name="x", namespace="default", resource_version="7"))
    trace.begin(decide, pod)
    trace.step(trace.where, "a word")
    tracer.decision("one", pod, cause="c", function=decide)
    tracer.decision("two", pod, cause="c", function=decide)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert [step.pop("time") > 1_600_000_000_000_000 for step in first["way"]] == [True, True]
    assert first["way"][0]["by"].endswith("test_trace.py:11 decide")
    assert (first["way"][0]["saw"], first["way"][0]["resourceVersion"]) == ("pods/default/x", "7")
    assert first["way"][1] == {"by": trace.place(trace.where), "what": "a word"}
    assert "way" not in second


async def test_a_cause_takes_its_way_along_to_another_task() -> None:
    out = io.StringIO()
    causes = []

    async def sees() -> None:
        trace.begin(decide)
        causes.append(trace.because("saw it"))

    await asyncio.create_task(sees())
    trace.go_on(causes[0])
    trace.step(trace.where)
    trace.Tracer("kubelet", out).decision("d", cause=str(causes[0]), function=decide)
    trace.go_on("another")
    trace.Tracer("kubelet", out).decision("d", cause=causes[0], function=decide)
    whole, gathered = map(json.loads, out.getvalue().splitlines())
    assert [step["by"].rpartition(" ")[2] for step in whole["way"]] == ["decide", "where"]
    assert [step["by"].rpartition(" ")[2] for step in gathered["way"]] == ["decide"]
    assert whole["cause"] == gathered["cause"] == "saw it"


def test_a_way_that_goes_round_for_ever_does_not_grow_for_ever() -> None:
    trace.begin(decide)
    for _ in range(100):
        trace.step(decide)
    assert len(trace.because("x").way) == trace.LONGEST
    trace.go_on("nothing")
    assert trace.because("x").way == ()
