"""The stage of a running cluster: its machines, over SSH, as root.

A lab's folder is copied to ~/labs/NAME of root on the master, and every command starts there, so that what the page
shows is what a learner types after `labkit ssh master`.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from labkit.cluster import Cluster
from labkit.guide import acts
from labkit.guide.format import Lab
from labkit.guide.places import NowhereError, Place, Spot, find_spot, pod_query, typed_at
from labkit.guide.stage import Outcome, Stage, with_answers
from labkit.guide.vary import filled
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.libvirt import patience
from labkit.provision.ssh import Ssh

AGENT_UNITS = ("kubelet", "kube-proxy", "docker")
KUBECONFIG = "/etc/kubernetes/admin.kubeconfig"
# PATH of a root login shell: SSH's own has no /usr/sbin, where iptables is.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def as_root(command: str, folder: str, kubeconfig: str = KUBECONFIG) -> str:
    """Root's shell, in the lab's folder if this machine has it, with kubectl's credentials where there are any."""
    setup = f"export PATH={_PATH} KUBECONFIG={kubeconfig} HOME=/root; cd /root/{folder} 2>/dev/null || cd; exec 2>&1"
    return "bash -c " + shlex.quote(f"{setup}\n{command}")


def files_of(lab: Lab) -> list[Path]:
    """What lies beside the page: manifests and programs that the lab uses."""
    return [
        path
        for path in sorted(lab.path.parent.iterdir())
        if path.is_file() and path.suffix not in (".md", ".svg") and not path.name.startswith("played.")
    ]


@contextmanager
def on_stage(cluster: Cluster, lab: Lab, namespace: str = "") -> "Iterator[Machines]":
    """The machines with the lab's files on them; in a namespace of the play's own if one is named."""
    machines = Machines(cluster, lab.folder, namespace)
    try:
        if namespace:
            machines.enter_namespace()  # brings the credentials with which the nodes are asked for, too
        machines.bring(lab)
        yield machines
    finally:
        if namespace:
            machines.leave_namespace()
        machines.close()


def lacking(stage: Stage, lab: Lab, words: Words, within: float = acts.AGENT_SECONDS) -> list[str]:
    """What has to be mended before the lab can be played, one line each; empty when its agents are Ready, if need be
    after `within` seconds."""
    agents = acts.ready_agents(stage, lab, within)
    if len(agents) >= lab.agents:
        return []
    units = ("etcd", "kube-apiserver") if not agents else ()
    down = [words("down", unit=unit, machine=machine, state=state)
            for unit in units for machine, state in stage.unit_states(unit).items() if state != "active"]  # fmt: skip
    return [*down, words("agents", title=lab.title, n=lab.agents, ready=", ".join(agents) or words("none"))]


class Machines:
    """The stage of a running cluster. `namespace`: the one that kubectl takes when a command names none."""

    def __init__(self, cluster: Cluster, folder: str, namespace: str = "") -> None:
        self.patience = patience(cluster)
        self._cluster = cluster
        self._folder = folder
        self._open: dict[str, Ssh] = {}
        self._master = cluster.master.name
        self._namespace = namespace
        self._kubeconfig = f"/run/labkit-{namespace}.kubeconfig" if namespace else KUBECONFIG

    def _ssh(self, machine: str) -> Ssh:
        if machine not in self._open:
            try:
                self._open[machine] = Ssh(self._cluster, self._cluster.machine(machine))
            except KeyError as exc:
                raise NowhereError(str(exc.args[0])) from exc
        return self._open[machine]

    def agents(self) -> list[str]:
        """The names of the nodes that are Ready, without those that are master only."""
        agents = {machine.name for machine in self._cluster.agents}
        answer = self.run(Spot(self._master), "kubectl get nodes --no-headers", 20, {})
        rows = [line.split() for line in answer.text.splitlines()]
        return sorted(agents & {row[0] for row in rows if row[1:2] == ["Ready"]}) if answer.rc == 0 else []

    def find(self, place: Place) -> Spot:
        if place.kind == "machine":
            return Spot(self._master if place.machine == "master" else place.machine)
        answer = self.run(Spot(self._master), pod_query(place), 20, {})
        if answer.rc != 0:
            raise NowhereError(f"{place}: {answer.text.strip()}")
        return find_spot(place, answer.text, [machine.name for machine in self._cluster.agents])

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        typed = typed_at(spot, with_answers(command, answers))
        try:
            result = self._ssh(spot.machine).run(
                as_root(typed, self._folder, self._kubeconfig), timeout=timeout, check=False, what=command
            )
        except TimedOut as exc:
            return Outcome(124, f"{exc.tail}\nended after {timeout:g} s".lstrip())
        return Outcome(result.rc, result.out + result.err)

    def unit_states(self, unit: str) -> dict[str, str]:
        """Machine -> what systemd says of a unit that should run there (active, inactive, failed, activating ...),
        or `unreachable`."""
        machines = [machine.name for machine in self._cluster.agents] if unit in AGENT_UNITS else [self._master]
        return {name: self._state(name, unit) for name in machines}

    def _state(self, machine: str, unit: str) -> str:
        try:
            return self.run(Spot(machine), f"systemctl is-active {unit}", 10, {}).text.strip()
        except CommandFailed:
            return "unreachable"

    def shell_command(self, machine: str, prompt: str) -> list[str]:
        """The `ssh ...` that opens root's shell on a machine, in the lab's folder, with a prompt of ours."""
        start = shlex.quote(f". ~/.bashrc 2>/dev/null; export PATH={_PATH} KUBECONFIG={KUBECONFIG}; {prompt}")
        ssh = self._ssh(machine)
        ssh.connect()  # its key is known from here on
        return ssh.shell_command(f"cd {self._folder} 2>/dev/null; exec bash --rcfile <(echo {start}) -i", terminal=True)

    def follow(self, spot: Spot, command: str) -> list[str]:
        """The `ssh ...` that runs a command which does not end by itself, with its output in this terminal."""
        ssh = self._ssh(spot.machine)
        ssh.connect()
        return ssh.shell_command(command, terminal=True)

    def shell(self, spot: Spot) -> None:
        """A root shell on the machine, in this terminal, until the learner leaves it."""
        self._ssh(spot.machine).shell()

    def bring(self, lab: Lab) -> None:
        """`labs/04-redis-master/*.yaml` -> /root/labs/redis-master/ on the master, with what varies filled in."""
        for path in files_of(lab):
            text = filled(path.read_text(encoding="utf-8"), lab.values)
            self._ssh(self._master).put(text.encode(), f"/root/{lab.folder}/{path.name}")

    def enter_namespace(self) -> None:
        """Make the namespace, and credentials with which kubectl works in it."""
        name = self._namespace
        command = (
            f"cp {KUBECONFIG} {self._kubeconfig} && kubectl delete namespace {name} --ignore-not-found"
            f" && kubectl create namespace {name} && kubectl config set-context --current --namespace={name}"
        )
        made = self.run(Spot(self._master), command, 60, {})
        if made.rc:
            raise CommandFailed(self._master, f"make namespace {name}", command, made.rc, made.text)

    def leave_namespace(self) -> None:
        name = self._namespace
        self.run(Spot(self._master), f"kubectl delete namespace {name} --wait=false; rm -f {self._kubeconfig}", 60, {})

    def close(self) -> None:
        for ssh in self._open.values():
            ssh.close()
