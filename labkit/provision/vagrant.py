"""The machines' life: up, halt, destroy, and where they listen.

Vagrant does it, through python-vagrant; this module adds what that lacks (a bound on time, the reason of a failure)
and, where machines are containers, asks docker what Vagrant takes 2 to 3 seconds to answer.

    Vagrant(cluster).up()      -> nothing, in 0.1 s, when all machines run
    endpoint(cluster, machine) -> ("127.0.0.1", 22001)

Errors: CommandFailed and TimedOut with machine "host" and Vagrant's last lines.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import vagrant

from labkit.cluster import SHARE, Cluster, Machine
from labkit.provision import boot, containers, fence, half_made, image, libvirt
from labkit.provision.errors import CommandFailed
from labkit.provision.process import OnLine, run

SECONDS = {"docker": 300.0}
VIRTUAL_SECONDS = 1800.0
"""How long `vagrant up` may take: a container boots in seconds, a virtual machine may download its box first."""
ASLEEP = ("paused", "saved", "suspended")
"""A suspended machine's state: docker's and libvirt's word, VirtualBox' and Parallels', VMware's."""


def endpoint(cluster: Cluster, machine: Machine) -> tuple[str, int]:
    """Where the machine's sshd is reached from the host. Asks nobody. Raises CommandFailed before the first `up`."""
    if cluster.provider != "docker":
        return machine.address, 22
    return _published(cluster, machine, boot.ports(cluster).ssh.get(machine.name, 0))


def apiserver_endpoint(cluster: Cluster) -> tuple[str, int]:
    """Where kube-apiserver is reached from the host. Raises CommandFailed before the first `up`."""
    if cluster.provider != "docker":
        return cluster.master.address, cluster.apiserver.port
    return _published(cluster, cluster.master, boot.ports(cluster).apiserver)


class Vagrant:
    """One cluster's machines. Every method is bounded in time; `on_line` gets what Vagrant prints as it comes."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def up(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> bool:
        """Boot what does not run (all machines, or those named), building the image if a machine has to be created.

        Machines that the cluster no longer has are removed. Returns whether anything had to be done.
        """
        say = on_line or (lambda line: None)
        docker = self.cluster.provider == "docker"
        found = containers.described(self.cluster) if docker else {}
        if docker:
            boot.adopt_ports(self.cluster, containers.published_ports(found))
            fence.put_up(self.cluster)
        boot.prepare(self.cluster)
        changed = docker and containers.remove_surplus(self.cluster, say)
        changed |= docker and containers.resize(self.cluster, found, say)
        states = self.status()
        if self._wake(states, on_line):
            changed, states = True, self.status()
        down = [name for name in machines or states if states[name] != "running"]
        if not down:
            return changed
        if docker:
            self._remember_containers()
        if self.cluster.provider == "libvirt":
            libvirt.ensure(self.cluster, say)
            half_made.clear(self.cluster, [name for name in down if states[name] == "not_created"], say)
        tag = image.tags().node
        if docker and any(states[name] not in containers.EXISTS for name in down):
            tag = image.ensure_image(say)
        self._cli("up", on_line, tag).up(vm_name=down[0] if len(down) == 1 else None)
        return True

    def settle(self) -> None:
        """Nothing to remember: a machine that we have made goes as a whole."""

    def halt(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> None:
        """Shut down (all, or those named); their disks stay."""
        states = self.status()
        if self._wake(states, on_line):
            states = self.status()
        running = [name for name in machines or states if states[name] == "running"]
        if not running:
            return
        if self.cluster.provider == "docker":  # all at once; Vagrant does it one by one, and asks docker for the state
            containers.stop(self.cluster, running)
        else:
            self._cli("halt", on_line).halt(vm_name=running[0] if len(running) == 1 else None)

    def suspend(self, on_line: OnLine | None = None) -> list[str]:
        """Let time stand still on the machines that run; which. A container is frozen, a virtual machine saved."""
        running = [name for name, state in self.status().items() if state == "running"]
        if not running:
            return []
        if self.cluster.provider == "docker":
            containers.pause(self.cluster, running)
        else:
            self._cli("suspend", on_line).suspend()
        return running

    def resume(self, on_line: OnLine | None = None) -> list[str]:
        """Let those go on that were suspended; which."""
        return self._wake(self.status(), on_line)

    def _wake(self, states: dict[str, str], on_line: OnLine | None) -> list[str]:
        asleep = [name for name, state in states.items() if state in ASLEEP]
        if not asleep:
            return []
        if self.cluster.provider == "docker":
            containers.unpause(self.cluster, asleep)
        else:
            self._cli("resume", on_line).resume()
        return asleep

    def remove(self, machine: str, on_line: OnLine | None = None) -> None:
        """One virtual machine, while the cluster still has it. (A container goes when the cluster has it no more.)"""
        if self.cluster.provider != "docker":
            self._cli("destroy", on_line).destroy(vm_name=machine)

    def snapshot(self, verb: str, name: str, on_line: OnLine | None = None) -> None:
        """save, restore or delete a snapshot of every virtual machine, disk and memory. (Not for containers.)"""
        cli = self._cli(f"snapshot {verb}", on_line)
        for machine in self.cluster.machines:
            words = [machine.name, name, *(["--force"] if verb == "save" else [])]
            cli._run_vagrant_command(["snapshot", verb, *words])

    def destroy(self, on_line: OnLine | None = None) -> None:
        """Remove machines, disks and networks, also those that Vagrant has forgotten, and what Vagrant remembers.

        What boot.prepare wrote for them goes too; the key, cluster.json and the rest of the state directory stay.
        """
        if self.cluster.provider == "docker":
            containers.remove_all(self.cluster)
            fence.take_down(self.cluster)
        elif (self._dotfile / "machines").exists():
            self._cli("destroy", on_line).destroy()
        if libvirt.setting(self.cluster):
            self._clear_half_made(on_line or (lambda line: None))
        libvirt.forget(self.cluster)
        for leftover in (self._dotfile, self.cluster.state / "boot"):
            shutil.rmtree(leftover, ignore_errors=True)
        (self.cluster.state / "ports.json").unlink(missing_ok=True)

    def _clear_half_made(self, say: OnLine) -> None:
        try:
            half_made.clear(self.cluster, [machine.name for machine in self.cluster.machines], say)
        except CommandFailed as exc:  # somebody else's machine of that name is no reason to keep ours
            say(str(exc))

    def status(self) -> dict[str, str]:
        """The state of each machine of the cluster: running, stopped, not_created (or a provider's own word)."""
        if self.cluster.provider == "docker":
            known = containers.states(self.cluster)
        else:
            known = {one.name: one.state for one in self._cli("status", None).status()}
        return {machine.name: known.get(machine.name, "not_created") for machine in self.cluster.machines}

    @property
    def _dotfile(self) -> Path:
        return self.cluster.state / "vagrant"

    def _cli(self, what: str, on_line: OnLine | None, tag: str = "") -> Any:
        environment = {
            "LABKIT_CLUSTER_JSON": str(self.cluster.state / "cluster.json"),
            "LABKIT_IMAGE": tag,
            "VAGRANT_CWD": str(SHARE),
            "VAGRANT_DOTFILE_PATH": str(self._dotfile),
            "VAGRANT_DEFAULT_PROVIDER": self.cluster.provider,
            # Nothing of ours asks the internet for news.
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            **libvirt.environment(self.cluster),
        }
        if self.cluster.provider == "docker":
            # Vagrant allows one creation of a machine at a time per home. (Boxes, which one would share, are not used.)
            environment["VAGRANT_HOME"] = str(self._dotfile / "home")
        seconds = SECONDS.get(self.cluster.provider, VIRTUAL_SECONDS) * libvirt.patience(self.cluster)
        return BoundedVagrant(f"vagrant {what}", environment, seconds, on_line)

    def _remember_containers(self) -> None:
        """Vagrant knows a machine by its container's id. Tell it again where that was lost or is an older one's."""
        found = containers.ids(self.cluster)
        for machine in self.cluster.machines:
            path = self._dotfile / "machines" / machine.name / "docker" / "id"
            identity = found.get(machine.name)
            if identity is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text().strip() != identity:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(identity)


class BoundedVagrant(vagrant.Vagrant):
    """python-vagrant, its commands run by `process.run`: in bounded time, with Vagrant's own words in the error."""

    def __init__(self, what: str, environment: dict[str, str], timeout: float, on_line: OnLine | None) -> None:
        if not shutil.which("vagrant"):
            raise CommandFailed(
                "host", what, tail="vagrant is not installed: `labkit doctor --fix` gets it, or says how"
            )
        super().__init__(root=str(SHARE))  # type: ignore[no-untyped-call]
        self.what, self.environment, self.timeout, self.on_line = what, environment, timeout, on_line

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        command: list[str] = self._make_vagrant_command(args)  # type: ignore[no-untyped-call]
        printed = run(self.what, command, timeout=self.timeout, on_line=self.on_line, env=self.environment, cwd=SHARE)
        if "--machine-readable" in args:  # warnings come on the same stream, and the parser chokes on them
            return "\n".join(line for line in printed.splitlines() if re.match(r"\d+,", line))
        return printed


def _published(cluster: Cluster, machine: Machine, port: int) -> tuple[str, int]:
    if not port:
        raise CommandFailed(
            machine.name, "find its port on 127.0.0.1", tail=f"it was never up: `labkit up --cluster {cluster.name}`"
        )
    return "127.0.0.1", port
