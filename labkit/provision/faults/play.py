"""Make faults and undo them on a cluster's machines. `tell` hears every command before it runs."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence

from labkit.cluster import Cluster
from labkit.provision.errors import CommandFailed
from labkit.provision.faults.book import Book, Fault
from labkit.provision.faults.plan import HOST, Command, Plan
from labkit.provision.faults.target import Target, Unclear, machine_named, parse
from labkit.provision.process import run
from labkit.provision.ssh import Ssh

SECONDS = 60  # for one command
UP_SECONDS = 300
Tell = Callable[[Command], None]


def find(cluster: Cluster, text: str, container: str = "") -> Target:
    """The target; a pod is looked for in the cluster. Raises Unclear, CommandFailed."""
    if not text.startswith("pod/"):
        return parse(cluster, text)
    namespace, _, name = text.removeprefix("pod/").rpartition("/")
    namespace = namespace or "default"
    with Ssh(cluster, cluster.master) as ssh:
        quoted = f"-n {shlex.quote(namespace)}"
        asked = ssh.run(f"kubectl get pod {quoted} -o json -- {shlex.quote(name)}", timeout=SECONDS, check=False)
        if asked.rc:
            there = ssh.run(f"kubectl get pods {quoted} -o name", timeout=SECONDS, check=False).out.split()
            raise Unclear(f"{asked.err.strip()}: in namespace {namespace} there is {', '.join(there) or 'no pod'}")
    spec = json.loads(asked.out)["spec"]
    names = [each["name"] for each in spec["containers"]]
    if container and container not in names:
        raise Unclear(f"pod {namespace}/{name} has no container {container}: it has {', '.join(names)}")
    if not spec.get("nodeName"):
        raise Unclear(f"pod {namespace}/{name} is on no machine yet")
    return Target(machine_named(cluster, spec["nodeName"]), pod=f"{namespace}/{name}", container=container or names[0])


def make(cluster: Cluster, plan: Plan, number: int, tell: Tell, dry_run: bool = False) -> Fault | None:
    """Write it down, then do it; what fails half-way is undone. None for what does not last. Raises CommandFailed."""
    if dry_run:
        for command in plan.make:
            tell(command)
        return None
    book = Book(cluster)
    fault = book.add(number, plan) if plan.lasts else None
    try:
        _run(cluster, plan.make, tell)
    except CommandFailed:
        if fault:
            undo(cluster, fault, tell)
        raise
    return fault


def undo(cluster: Cluster, fault: Fault, tell: Tell) -> None:
    """Heal one fault and forget it. Raises CommandFailed, and then it is not forgotten."""
    _run(cluster, fault.commands(), tell)
    Book(cluster).remove(fault.number)


def _run(cluster: Cluster, commands: Sequence[Command], tell: Tell) -> None:
    open_to: dict[str, Ssh] = {}
    try:
        for command in commands:
            tell(command)
            if command.machine == HOST:
                _on_host(command.text)
                continue
            if command.machine not in open_to:
                open_to[command.machine] = Ssh(cluster, machine_named(cluster, command.machine))
            open_to[command.machine].run(command.text, timeout=SECONDS, what=command.text)
    finally:
        for ssh in open_to.values():
            ssh.close()


def _on_host(text: str) -> None:
    words = text.split()
    if words[0] == "labkit":
        run(text, [sys.executable, "-m", "labkit.cli", *words[1:]], timeout=UP_SECONDS)
        return
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise CommandFailed("host", text, text, done.returncode, done.stderr)
