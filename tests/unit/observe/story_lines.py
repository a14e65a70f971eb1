"""Journals for the tests of `labkit story`: recorded ones, and lines made by hand."""

import json
from pathlib import Path

from labkit.observe.story.lines import parse_all
from labkit.observe.story.told import Known

RECORDED = Path(__file__).parent / "recorded" / "story"
RC, POD = "replicationcontrollers/default/redis-master", "pods/default/redis-master-et6j0"
SERVICE = "services/default/redis-master"


def journals() -> dict[str, list[str]]:
    """What three machines wrote when a controller of one pod and a service were created; the pod runs on agent2."""
    return {path.stem: path.read_text().splitlines() for path in sorted(RECORDED.glob("*.log"))}


def shifted(text: str, microseconds: int) -> str:
    """A line as a machine with another clock would have written it."""
    line = json.loads(text)
    for part in (line, *line.get("way", [])):
        part["time"] += microseconds
    return json.dumps(line)


def known(logs: dict[str, list[str]], target: str = RC, **more: object) -> Known:
    lines, applied = parse_all(logs)
    return Known(target, lines, applied, **{"exists": True, "related": [SERVICE], **more})  # type: ignore[arg-type]


def line(time: int, component: str, decision: str, **more: object) -> str:
    return json.dumps(
        {"time": time, "component": component, "level": "info", "decision": decision, "cause": "", "line": 7,
         "function": f"labkit.components.x:{decision.replace(' ', '_')}", "file": "labkit/x.py", **more}
    )  # fmt: skip


def stored(time: int, revision: int, path: str, by: str = "admin (kubectl/v1.30)", decision: str = "updated") -> str:
    """kube-apiserver wrote something."""
    return line(
        time, "kube-apiserver", decision, object=path, resourceVersion=str(revision), cause=f"PUT by {by}",
        way=[{"time": time - 900, "by": "labkit/a.py:1 update"}, {"time": time - 500, "by": "labkit/e.py:2 t"}],
    )  # fmt: skip


def saw(time: int, path: str, revision: int) -> dict[str, object]:
    return {"time": time, "by": "labkit/client/informer.py:3 Informer._apply", "saw": path,
            "resourceVersion": str(revision)}  # fmt: skip
