"""The lab as a learner meets it: time from `labkit up` to Ready nodes, a second `up`, a push, a service, a pod, memory.

Uses a cluster of its own (`bench`), made and destroyed here, through the command line that a learner uses.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.rows import Row

CLUSTER = "bench"
AGENTS = ("agent1", "agent2")
Say = Callable[[str], None]


class Lab:
    """The command line, bounded and timed."""

    def __init__(self, home: str) -> None:
        self._env = os.environ | {"LABKIT_HOME": home, "LABKIT_CLUSTER": CLUSTER}

    def labkit(self, *words: str, within: float = 600, stdin: str = "") -> tuple[str, float]:
        """What it printed and how long it took, seconds."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", *words],
            env=self._env, input=stdin, capture_output=True, text=True, timeout=within, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"labkit {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout, time.monotonic() - started

    def on(self, machine: str, script: str, within: float = 120) -> str:
        """What a shell script printed on a machine (as root)."""
        return self.labkit("ssh", machine, f"sudo sh -c {_quoted(script)}", within=within)[0].strip()


def _quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def memory_mb(lab: Lab, machine: str) -> float:
    """Memory of all processes of a machine without the page cache that the kernel can drop: cgroup usage - inactive file."""
    script = (
        "cd /sys/fs/cgroup; if [ -f memory/memory.usage_in_bytes ]; then"
        " echo $(($(cat memory/memory.usage_in_bytes) - $(awk '/^total_inactive_file/{print $2}' memory/memory.stat)));"
        " else echo $(($(cat memory.current) - $(awk '/^inactive_file/{print $2}' memory.stat))); fi"
    )
    return int(lab.on(machine, script).split()[-1]) / 1e6




def service_to_first_byte(lab: Lab, turns: int = 3) -> dict[str, list[float]]:
    """Seconds from the creation of a Service to the first byte through its cluster IP, on every agent.

    The agents ask in a tight loop (a refused connection takes 0.05 s) from before the Service exists; machines share
    the host's clock, so the moments of one can be compared with those of the other.
    """
    out: dict[str, list[float]] = {agent: [] for agent in AGENTS}
    for turn in range(turns):
        address = f"10.0.77.{turn + 1}"
        loop = (
            f"for i in $(seq 400); do exec 3<>/dev/tcp/{address}/6379 && printf 'PING\\r\\n' >&3 && head -c 1 <&3"
            " >/dev/null && date +%s%N && exit 0; sleep 0.02; done 2>/dev/null; exit 1"
        )
        waiting = {
            agent: subprocess.Popen(
                [sys.executable, "-m", "labkit.cli", "ssh", agent, f"timeout 30 bash -c {_quoted(loop)}"],
                env=lab._env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for agent in AGENTS
        }  # fmt: skip
        time.sleep(3)  # both are asking by now
        service = _manifest("Service", f"bench-{turn}", {"clusterIP": address, "ports": [{"port": 6379}], "selector": {"app": "bench"}})
        created = int(lab.on("master", f"date +%s%N; kubectl create -f - <<'Y' >/dev/null\n{service}\nY").split()[0])
        for agent, process in waiting.items():
            printed, _ = process.communicate(timeout=60)
            out[agent].append((int(printed.split()[-1]) - created) / 1e9)
        lab.on("master", f"kubectl delete service bench-{turn} >/dev/null")
    return out


def pod_to_running(lab: Lab, turns: int = 5) -> list[float]:
    """Seconds from `kubectl create` of a pod to its Running status, image present, seen by a watch on the master."""
    times = []
    for turn in range(turns):
        pod = _manifest("Pod", f"bench-{turn}", {"containers": [{"name": "c", "image": "redis"}]})
        script = (
            f"start=$(date +%s%N); kubectl create -f - <<'Y' >/dev/null\n{pod}\nY\n"
            f"timeout 30 kubectl get pod bench-{turn} -w -o 'jsonpath={{.status.phase}}{{\"\\n\"}}' | grep -m1 -q Running"
            " && echo $start $(date +%s%N)"
        )
        start, end = map(int, lab.on("master", script).split()[-2:])
        times.append((end - start) / 1e9)
    lab.on("master", "kubectl delete pod " + " ".join(f"bench-{t}" for t in range(turns)) + " >/dev/null", within=120)
    return times


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> str:
    metadata = {"name": name, "labels": {"app": "bench"}}
    return json.dumps({"kind": kind, "apiVersion": "v1", "metadata": metadata, "spec": spec})


def rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        lab = Lab(home)
        try:
            return _measured(lab, say)
        finally:
            say("destroying the cluster")
            lab.labkit("destroy", "--yes", within=180)


def _measured(lab: Lab, say: Say) -> list[Row]:
    lab.labkit("init", "--agents", str(len(AGENTS)))
    say("the node image")
    lab.labkit("image", within=900)
    say("labkit up")
    _, up = lab.labkit("up", within=600)
    say("labkit up, nothing to do")
    again = min(lab.labkit("up")[1] for _ in range(3))
    say("idle memory")
    time.sleep(20)  # what starting up left behind is given back
    agent = max(memory_mb(lab, name) for name in AGENTS)
    master = memory_mb(lab, "master")
    say("labkit push")
    push = min(lab.labkit("push", "kube-proxy")[1] for _ in range(2))
    say("pods")
    rc = {"replicas": 2, "selector": {"app": "bench"}, "template": {"metadata": {"labels": {"app": "bench"}}, "spec": {"containers": [{"name": "redis", "image": "redis"}]}}}
    lab.on("master", f"kubectl create -f - <<'Y' >/dev/null\n{_manifest('ReplicationController', 'bench', rc)}\nY\n"
           "for i in $(seq 60); do [ $(kubectl get pods -l app=bench | grep -c Running) = 2 ] && exit 0; sleep 1; done; exit 1")  # fmt: skip
    running = pod_to_running(lab)
    say("services")
    first_bytes = service_to_first_byte(lab)
    worst = max(max(times) for times in first_bytes.values())
    return [
        Row(name="labkit up, image present, to all nodes Ready", value=up, unit="s", better="lower", goal=60),
        Row(name="second labkit up, nothing to do", value=again, unit="s", better="lower", goal=6, note="best of 3"),
        Row(name="labkit push kube-proxy", value=push, unit="s", better="lower", goal=5, note="best of 2"),
        Row(name="service created to first byte, slowest agent", value=worst, unit="s", better="lower", goal=1,
            beside={a: round(statistics.median(t), 3) for a, t in first_bytes.items()}),
        Row(name="pod created to Running, image present", value=statistics.median(running), unit="s", better="lower", goal=2,
            beside={"worst": round(max(running), 2)}),
        Row(name="idle agent, all included", value=agent, unit="MB", better="lower", goal=200),
        Row(name="idle master, all included", value=master, unit="MB", better="lower", goal=400),
    ]  # fmt: skip
