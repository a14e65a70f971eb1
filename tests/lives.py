"""The lives of pods that were recorded from Kubernetes 0.18.2, and what each looks like here.

tests/unit plays them on FakeRuntime, tests/node on docker. A life names the pod, what its status has to become, one
line per container, and every event that is told of it. What 0.18.2 came to is in lives.toml; `python -m
tests.lifecycle` writes both, side by side, into docs/lifecycle.md.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.api.types import ContainerState, Pod, PodStatus
from labkit.components.kubelet.fake import RUNS_ON, Program
from labkit.components.kubelet.runtime import ContainerConfig

ABSENT = "127.0.0.1:1/absent:1"  # a registry that nobody answers for
SLEEP = ["sleep", "1000"]
HUNGRY = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done"
LAST_WORDS = "echo last words > /dev/termination-log; exit 3"
FAILED_BY_DEADLINE = "deadline the pod: Pod was active on the node longer than specified deadline"
KILLED = ("killing POD: Killing ID",)


@dataclass(frozen=True)
class Life:
    """containers: fields of each, `image` apart. becomes: phase, Ready, then `name: state, restarts n` of each.

    events: lines as told() makes them, those apart that say that the pause container and the containers in `begins`
    (all of them, unless said) were created and started. deleted: the pod is deleted once it is what it has to become.
    """

    name: str
    containers: Sequence[dict[str, Any]]
    becomes: Sequence[str]
    spec: dict[str, Any] = field(default_factory=dict)
    events: Sequence[str] = ()
    begins: Sequence[str] | None = None
    deleted: bool = False
    on_fake: bool = True

    @property
    def all_events(self) -> set[str]:
        begins = [each["name"] for each in self.containers] if self.begins is None else self.begins
        return {line for name in ("POD", *begins) for line in begin(name)} | set(self.events)


def begin(container: str) -> tuple[str, str]:
    """What is told of a container that begins."""
    return (f"created {container}: Created with docker id ID", f"started {container}: Started with docker id ID")


def _shell(text: str, **fields: Any) -> dict[str, Any]:
    return {"name": "c", "command": ["sh", "-c", text]} | fields


def _sleeps(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "command": SLEEP} | fields


def _exec(text: str, **fields: int) -> dict[str, Any]:
    return _exec_hook(text) | {"timeoutSeconds": 5} | fields


def _exec_hook(text: str) -> dict[str, Any]:
    return {"exec": {"command": ["sh", "-c", text]}}


LIVES = (
    Life("exit0-always", [_shell("exit 0")], ["Running", "not ready",
         "c: waiting CrashLoopBackOff, last terminated Completed 0, restarts 1"]),
    Life("exit1-always", [_shell("exit 1")], ["Running", "not ready",
         "c: waiting CrashLoopBackOff, last terminated Error 1, restarts 1"]),
    Life("exit1-onfailure", [_shell("exit 1")], ["Running", "not ready",
         "c: waiting CrashLoopBackOff, last terminated Error 1, restarts 1"], {"restartPolicy": "OnFailure"}),
    Life("exit0-onfailure", [_shell("exit 0")], ["Succeeded", "not ready", "c: terminated Completed 0, restarts 0"],
         {"restartPolicy": "OnFailure"}, KILLED),
    Life("exit0-never", [_shell("exit 0")], ["Succeeded", "not ready", "c: terminated Completed 0, restarts 0"],
         {"restartPolicy": "Never"}, KILLED),
    Life("exit3-never", [_shell(LAST_WORDS)], ["Failed", "not ready",
         "c: terminated Error 3 'last words\\n', restarts 0"], {"restartPolicy": "Never"}, KILLED),
    Life("deadline", [_sleeps()], ["Failed DeadlineExceeded", "not ready", "c: terminated Error 137, restarts 0"],
         {"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 1},
         (*KILLED, FAILED_BY_DEADLINE, "killing c: Killing ID")),
    Life("hostport", [_sleeps(ports=[{"containerPort": 80, "hostPort": 0}])],
         ["Running", "ready", "c: running, restarts 0"]),
    Life("hp1", [_sleeps()], ["Running", "ready", "c: running, restarts 0"], {"terminationGracePeriodSeconds": 1},
         (*KILLED, "killing c: Killing ID"), deleted=True),
    Life("limits", [_sleeps(resources={"limits": {"cpu": "100m", "memory": "64Mi"}})],
         ["Running", "ready", "c: running, restarts 0"]),
    Life("fieldref", [_sleeps(env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])],
         ["Running", "ready", "c: running, restarts 0"]),
    Life("vols", [_sleeps("w", volumeMounts=[{"name": "v", "mountPath": "/data"}]),
                  _sleeps("r", volumeMounts=[{"name": "v", "mountPath": "/data"}])],
         ["Running", "ready", "w: running, restarts 0", "r: running, restarts 0"],
         {"volumes": [{"name": "v", "emptyDir": {}}]}),
    Life("two", [_shell("exit 0", name="a"), _sleeps("b")],
         ["Running", "not ready", "a: terminated Completed 0, restarts 0", "b: running, restarts 0"],
         {"restartPolicy": "Never"}),
    Life("live-fail", [_sleeps(livenessProbe=_exec("exit 1", initialDelaySeconds=3, periodSeconds=60))],
         ["Running", "ready", "c: running, last terminated Error 137, restarts 1"],
         {"terminationGracePeriodSeconds": 1}, ("unhealthy c: Liveness probe failed: ", "killing c: Killing ID")),
    Life("ready-fail", [_sleeps(readinessProbe=_exec("exit 1", periodSeconds=1))],
         ["Running", "not ready", "c: running, restarts 0"], events=["unhealthy c: Readiness probe failed: "]),
    Life("ready-http", [{"name": "c", "command": ["httpd", "-f", "-p", "8080", "-h", "/etc"], "readinessProbe":
                         {"httpGet": {"port": 8080, "path": "/passwd"}, "periodSeconds": 1, "timeoutSeconds": 5}}],
         ["Running", "ready", "c: running, restarts 0"], on_fake=False),
    Life("neverpull", [_sleeps(image=ABSENT, imagePullPolicy="Never")],
         ["Pending", "not ready", "c: waiting no such image, restarts 0"],
         events=["failed c: Failed to create docker container with error: no such image"], begins=()),
    Life("nocmd", [{"name": "c", "command": ["/no/such"]}],
         ["Pending", "not ready", "c: waiting RunContainerError, restarts 1"],
         events=[begin("c")[0], "failed c: Failed to start with docker id ID with error: DOCKER"], begins=()),
    Life("noimage", [_sleeps(image=ABSENT)], ["Pending", "not ready", "c: waiting ErrImagePull, restarts 0"],
         events=["failed c: Failed to pull image IMAGE: DOCKER"], begins=()),
    # not among those recorded
    Life("oom", [_shell(HUNGRY, resources={"limits": {"memory": "16Mi"}})],
         ["Failed", "not ready", "c: terminated OOMKilled 137, restarts 0"], {"restartPolicy": "Never"}, KILLED),
    Life("poststart-fail", [_sleeps(lifecycle={"postStart": _exec_hook("exit 1")})], ["Running", "not ready",
         "c: waiting CrashLoopBackOff, last terminated Error 137, restarts 1"], {"terminationGracePeriodSeconds": 0},
         ("failedSync the pod: Error syncing pod, skipping: failed to call event handler: Error executing in Docker"
          " Container: 1", "killing c: Killing ID")),
    Life("prestop", [_shell("exit 0", name="a"), _sleeps("b", lifecycle={"preStop": _exec_hook("exit 1")})],
         ["Failed DeadlineExceeded", "not ready", "a: terminated Completed 0, restarts 0",
          "b: terminated Error 137, restarts 0"],
         {"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 1, "restartPolicy": "Never"},
         (*KILLED, FAILED_BY_DEADLINE, "killing b: Killing ID",
          'failedPreStopHook b: preStop hook for container "b" failed: Error executing in Docker Container: 1')),
)  # fmt: skip

_PROGRAMS = {
    "exit 0": Program(exit_code=0, seconds=0.1), "exit 1": Program(exit_code=1, seconds=0.1),
    HUNGRY: Program(exit_code=137, seconds=0.1, hungry=True),
    LAST_WORDS: Program(exit_code=3, seconds=0.1, message="last words\n"),
    "/no/such": Program(broken='exec: "/no/such": stat /no/such: no such file or directory'),
    "sleep": Program(stubborn=True),  # process 1 has no handler for SIGTERM
}  # fmt: skip


def program(config: ContainerConfig) -> Program:
    """What FakeRuntime does in docker's place."""
    words = (*config.command, "")
    return _PROGRAMS.get(words[0]) or _PROGRAMS.get(config.command[-1] if config.command else "", RUNS_ON)


def pod_of(life: Life, node: str, image: str) -> dict[str, Any]:
    containers = [{"image": image} | fields for fields in life.containers]
    meta = {"name": life.name, "namespace": "default"}
    return {"metadata": meta, "spec": {"nodeName": node, "containers": containers} | life.spec}


def seen_of(pod: Pod) -> list[str]:
    """A status in the words of `Life.becomes`."""
    status: PodStatus = pod.status
    ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions)
    lines = [f"{status.phase} {status.reason}".rstrip(), "ready" if ready else "not ready"]
    for told in status.container_statuses:
        last = _state(told.last_state)
        middle = f", last {last}" if last else ""
        lines.append(f"{told.name}: {_state(told.state)}{middle}, restarts {told.restart_count}")
    return lines


def told(events: Iterable[tuple[str, str, str]]) -> set[str]:
    """Events as lines `reason of-what: message`; what differs from run to run, and from docker to docker, has a word in
    its place. Where the pause image came from is no part of a life."""
    lines = {f"{reason} {_object(path)}: {_plain(message)}" for reason, path, message in events}
    return {line for line in lines if not line.startswith("pulled POD")}


def _object(path: str) -> str:
    container = re.fullmatch(r"spec\.containers\{(.+)\}|implicitly required container (POD)", path)
    return "the pod" if container is None else container[1] or container[2]


def _plain(message: str) -> str:
    message = re.sub(r"(docker id|Killing) \S+", r"\1 ID", message)
    message = re.sub(r'(pull image) "\S+"', r"\1 IMAGE", message)
    return re.sub(r"((?:docker id ID with error|IMAGE): ).+", r"\1DOCKER", message, flags=re.DOTALL)


def _state(state: ContainerState) -> str:
    if state.waiting is not None:
        return f"waiting {state.waiting.reason}"
    if (ended := state.terminated) is not None:
        return f"terminated {ended.reason} {ended.exit_code}{f' {ended.message!r}' if ended.message else ''}"
    return "running" if state.running is not None else ""
