"""The life of hosts that are there already: Vagrant's twin for the provider ssh.

    up        look at all -> refuse, or prepare all        a host that was booted anew gets its network back by itself
    halt      stop what is ours on them; the hosts stay on
    destroy   bring them back to how they were found

Errors: CommandFailed. Its words name the host; where several are refused, all of them.
"""

import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from labkit.cluster import Cluster, Machine
from labkit.provision import own, pod_images
from labkit.provision.errors import CommandFailed, Unreachable
from labkit.provision.existing import checks, inventory, prepare
from labkit.provision.lock import ON_MACHINE
from labkit.provision.process import OnLine
from labkit.provision.ssh import Ssh

Answer = TypeVar("Answer")
REACH_SECONDS = 10
STATUS_SECONDS = 3
STATE = (
    f"test -e {prepare.STAMP} || {{ echo not_created; exit; }};"
    " systemctl is-active --quiet lab-net && echo running || echo stopped"
)


class Hosts:
    """One cluster's hosts, several at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def up(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> bool:
        """Nothing is changed on any of them unless all may be. Whether anything had to be done."""
        say = on_line or (lambda line: None)
        say("look at the hosts")
        self._refuse()
        images = pod_images.folder(say)

        def one(ssh: Ssh) -> bool:
            return prepare.prepare(ssh, images, lambda line: say(f"{ssh.machine.name}: {line}"))

        return any(self._each(one))

    def _refuse(self) -> None:
        """Raises CommandFailed with everything that stands in the way on every host."""
        identity, arch = inventory.identity(self.cluster), platform.machine()

        def one(ssh: Ssh) -> list[str]:
            ssh.connect(wait=REACH_SECONDS)
            found = checks.problems(self.cluster, ssh.machine, checks.gather(ssh), identity, arch)
            return [f"{ssh.machine.name} {problem.what}: {problem.mend}" for problem in found]

        if faults := [line for lines in self._each(one) for line in lines]:
            faults.append("nothing was changed on any host")
            raise CommandFailed("hosts", "the check of what may be changed there", tail="\n".join(faults))

    def settle(self) -> None:
        self._each(prepare.seal)

    def halt(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> None:
        """Services and pods stop, routes and rules go; nobody's host is switched off."""

        def one(ssh: Ssh) -> None:
            units = " ".join(own.services(self.cluster, ssh.machine))
            pods = "docker ps --quiet --filter name=k8s_ | xargs --no-run-if-empty docker stop --time 2 >/dev/null; "
            command = f"systemctl stop {units}; {pods if ssh.machine.is_agent else ''}systemctl stop lab-net"
            ssh.run(ON_MACHINE + command, timeout=180, what="stop what is ours")

        states = self.status()
        self._each(one, [name for name in machines or states if states[name] == "running"])

    def suspend(self, on_line: OnLine | None = None) -> list[str]:
        raise CommandFailed("hosts", "suspend", tail="somebody's hosts go on: `labkit down` stops what is ours on them")

    def resume(self, on_line: OnLine | None = None) -> list[str]:
        raise CommandFailed("hosts", "resume", tail="hosts are not suspended; `labkit up` starts what is ours on them")

    def snapshot(self, verb: str, name: str, on_line: OnLine | None = None) -> None:
        raise CommandFailed("hosts", f"snapshot {verb}", tail="a host is not kept whole")

    def remove(self, machine: str, on_line: OnLine | None = None) -> None:
        """Bring one back, and forget it."""
        self._undo([machine], on_line)
        hosts = inventory.kept(self.cluster)
        hosts.pop(machine, None)
        inventory.keep(self.cluster, hosts)

    def destroy(self, on_line: OnLine | None = None) -> None:
        """Bring all back. Those that cannot be reached are named; all others are done then."""
        if (self.cluster.state / inventory.KEPT).exists():
            self._undo([machine.name for machine in self.cluster.machines], on_line)

    def status(self) -> dict[str, str]:
        """running, stopped, not_created; unreachable."""

        def one(machine: Machine) -> str:
            try:
                with Ssh(self.cluster, machine) as ssh:
                    ssh.connect(wait=STATUS_SECONDS)
                    return ssh.run(STATE, timeout=15, what="look at the host").out.strip()
            except CommandFailed:
                return "unreachable"

        with ThreadPoolExecutor(len(self.cluster.machines)) as pool:
            states = pool.map(one, self.cluster.machines)
            return {machine.name: state for machine, state in zip(self.cluster.machines, states, strict=True)}

    def _undo(self, names: list[str], on_line: OnLine | None) -> None:
        say = on_line or (lambda line: None)
        failed: list[str] = []

        def one(ssh: Ssh) -> None:
            try:
                for line in prepare.undo(ssh).splitlines():
                    say(f"{ssh.machine.name}: {line}")
            except CommandFailed as exc:
                failed.append(
                    f"{ssh.machine.name}: {exc.tail or exc.what}" if isinstance(exc, Unreachable) else str(exc)
                )

        self._each(one, names)
        if failed:
            mend = "then `labkit destroy` again; or there: `sudo python3 /var/lib/labkit/host.pyz undo`"
            raise CommandFailed("hosts", "bring back every host", tail="\n".join([*failed, mend]))

    def _each(self, do: Callable[[Ssh], Answer], names: Iterable[str] | None = None) -> list[Answer]:
        """The answer of each host (or of those named), asked all at once over a connection each.

        Raises the first failure, when the others have ended; at Ctrl-C their connections are cut.
        """
        chosen = [each for each in self.cluster.machines if names is None or each.name in names]
        if not chosen:
            return []
        with ExitStack() as connections, ThreadPoolExecutor(len(chosen), thread_name_prefix="host") as pool:
            opened = [connections.enter_context(Ssh(self.cluster, machine)) for machine in chosen]

            futures = [pool.submit(do, ssh) for ssh in opened]
            try:
                return [future.result() for future in futures]
            except BaseException as exc:
                if not isinstance(exc, Exception):
                    connections.close()
                raise
