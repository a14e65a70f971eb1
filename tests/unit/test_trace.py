"""A decision is one JSON line that says where it was made."""

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
