"""The lab as a learner meets it: time from `labkit up` to Ready nodes, a second `up`, a push, a service, a pod, memory.

Uses a cluster of its own (`bench`), made and destroyed here, through the command line that a learner uses. Machines of
the docker provider share one clock, so that a moment seen on one can be compared with a moment seen on another.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.rows import Row

CLUSTER = "bench"
AGENTS = ("agent1", "agent2")
Say = Callable[[str], None]


class Lab:
    """The command line, bounded and timed. inside: what to put in front of it."""

    def __init__(self, home: str, env: Mapping[str, str] | None = None, inside: Sequence[str] = ()) -> None:
        self._env = {**os.environ, "LABKIT_HOME": home, "LABKIT_CLUSTER": CLUSTER, **(env or {})}
        self._inside = inside

    def labkit(self, *words: str, within: float = 600) -> tuple[str, float]:
        """What it printed and how long it took, seconds."""
        started = time.monotonic()
        with self.start(*words) as process:
            try:
                printed, said = process.communicate(timeout=within)
            except subprocess.TimeoutExpired:
                process.terminate()
                raise
        if process.returncode != 0:
            raise SystemExit(f"labkit {' '.join(words)} ended with {process.returncode}:\n{printed}{said}")
        return printed, time.monotonic() - started

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """The same, in the background."""
        command = [*self._inside, sys.executable, "-m", "labkit.cli", *words]
        return subprocess.Popen(
            command,
            env=self._env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def on(self, machine: str, script: str, within: float = 120) -> str:
        """What a shell script printed on a machine, run as root."""
        return self.labkit("ssh", machine, script, within=within)[0].strip()

    def create(self, manifest: dict[str, Any]) -> int:
        """Create an object with kubectl on the master; the moment before, in nanoseconds."""
        script = f"date +%s%N; kubectl create -f - <<'Y' >/dev/null\n{json.dumps(manifest)}\nY"
        return int(self.on("master", script).split()[0])


def rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        lab = Lab(home)
        try:
            return [*provisioning(lab, say), *memory(lab, say), *pushing(lab, say), *serving(lab, say)]
        finally:
            say("destroying the cluster")
            lab.labkit("destroy", "--yes", within=180)


def provisioning(lab: Lab, say: Say) -> list[Row]:
    lab.labkit("init", "--agents", str(len(AGENTS)))
    say("the node image, if it is missing")
    lab.labkit("image", within=900)
    say("labkit up")
    _, first = lab.labkit("up", within=600)
    say("labkit up, nothing to do")
    again = [lab.labkit("up")[1] for _ in range(3)]
    return [
        Row(name="labkit up, image present, to all nodes Ready", value=first, unit="s", better="lower", goal=60),
        Row(name="second labkit up, nothing to do", value=statistics.median(again), unit="s", better="lower", goal=6),
    ]


def memory(lab: Lab, say: Say) -> list[Row]:
    """Before any pod runs; after a while, in which what starting up needed is given back."""
    say("idle memory")
    time.sleep(20)
    agent = max(used_mb(lab, name) for name in AGENTS)
    return [
        Row(name="idle agent, all included", value=agent, unit="MB", better="lower", goal=200),
        Row(name="idle master, all included", value=used_mb(lab, "master"), unit="MB", better="lower", goal=400),
    ]


def used_mb(lab: Lab, machine: str) -> float:
    """What all processes of a machine hold: its cgroup's usage less the page cache that the kernel can drop."""
    script = """
        cd /sys/fs/cgroup
        if [ -d memory ]; then cd memory; used=memory.usage_in_bytes cache=total_inactive_file
        else used=memory.current cache=inactive_file; fi
        echo $(($(cat $used) - $(awk -v c=$cache '$1 == c {print $2}' memory.stat)))
    """
    return int(lab.on(machine, script).split()[-1]) / 1e6


def pushing(lab: Lab, say: Say) -> list[Row]:
    say("labkit push")
    times = [lab.labkit("push", "kube-proxy")[1] for _ in range(3)]
    return [Row(name="labkit push kube-proxy", value=statistics.median(times), unit="s", better="lower", goal=5)]


def serving(lab: Lab, say: Say) -> list[Row]:
    say("two redis pods")
    lab.create(redis_controller())
    lab.on("master", "until [ $(kubectl get pods -l app=bench | grep -c Running) = 2 ]; do sleep 0.5; done", within=120)
    say("pods to Running")
    running = [pod_to_running(lab, turn) for turn in range(5)]
    say("services to first byte")
    first_byte = [service_to_first_byte(lab, turn) for turn in range(3)]
    per_agent = {agent: statistics.median(turn[agent] for turn in first_byte) for agent in AGENTS}
    worst = max(max(turn.values()) for turn in first_byte)
    return [
        Row(
            name="service created to first byte through its cluster IP, slowest of all agents and turns",
            value=worst,
            unit="s",
            better="lower",
            goal=1,
            beside={agent: round(seconds, 3) for agent, seconds in per_agent.items()},
        ),
        Row(
            name="pod created to Running, image present (median)",
            value=statistics.median(running),
            unit="s",
            better="lower",
            goal=2,
            beside={"slowest": round(max(running), 2)},
        ),
    ]


def redis_controller() -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "bench"}}, "spec": redis_spec()}
    return manifest("ReplicationController", "bench", {"replicas": 2, "template": template})


def redis_spec() -> dict[str, Any]:
    return {"containers": [{"name": "redis", "image": "redis"}]}


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}


def pod_to_running(lab: Lab, turn: int) -> float:
    """Seconds from `kubectl create` to the kubelet's write of the status Running."""
    name = f"bench-pod-{turn}"
    created = lab.create(manifest("Pod", name, redis_spec()))
    # startedAt has a resolution of a second; the kubelet's log has the moment to the microsecond
    phase = f"kubectl get pod {name} -o jsonpath='{{.status.phase}}'"
    lab.on("master", f'until [ "$({phase})" = Running ]; do sleep 0.1; done', within=60)
    script = f"journalctl -u kubelet -o cat --since -2min | grep {name} || true"
    moments = [json.loads(line) for agent in AGENTS for line in lab.on(agent, script).splitlines()]
    running = min(m["time"] for m in moments if m.get("phase") == "Running")
    lab.on("master", f"kubectl delete pod {name} >/dev/null")
    return float(running * 1000 - created) / 1e9


def service_to_first_byte(lab: Lab, turn: int) -> dict[str, float]:
    """Seconds from the creation of a Service to the first byte through its cluster IP, per agent.

    The agents ask without a pause from before the Service exists; an address that no service has is refused at once.
    """
    address, name = f"10.0.77.{turn + 1}", f"bench-{turn}"
    ask = f"exec 3<>/dev/tcp/{address}/6379 && printf 'PING\\r\\n' >&3 && head -c 1 <&3 >/dev/null && date +%s%N"
    script = f'for i in $(seq 600); do timeout 5 bash -c "{ask}" 2>/dev/null && exit 0; sleep 0.02; done; exit 1'
    asking = {agent: lab.start("ssh", agent, script) for agent in AGENTS}
    time.sleep(4)  # both ask by now
    spec = {"clusterIP": address, "ports": [{"port": 6379}], "selector": {"app": "bench"}}
    created = lab.create(manifest("Service", name, spec))
    answered = {agent: int(process.communicate(timeout=60)[0].split()[-1]) for agent, process in asking.items()}
    lab.on("master", f"kubectl delete service {name} >/dev/null")
    return {agent: (moment - created) / 1e9 for agent, moment in answered.items()}
