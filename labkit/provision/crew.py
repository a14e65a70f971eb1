"""All machines at once: a thread and a connection each, facts -> plan -> commands.

Agents wait for the master where an action says what it needs. When one machine fails, or at Ctrl-C, the others stop
where they are; what was done is kept, and the next run goes on from there.
"""

import functools
import io
import tarfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack

from labkit.cluster import Cluster
from labkit.provision import facts, journal, plan
from labkit.provision.desired import Desired
from labkit.provision.errors import CommandFailed, TimedOut
from labkit.provision.lock import ON_MACHINE
from labkit.provision.report import Report
from labkit.provision.ssh import Ssh
from labkit.provision.wheels import Target, Wheel, fetch

REACH_SECONDS = 90
API_SERVER_SECONDS = 150
"""How long agents wait for the master to come so far; its own steps are bounded one by one."""

Decide = Callable[[Desired, facts.Facts, plan.Parcel], list[plan.Action]]


def provision(
    cluster: Cluster, wanted: Iterable[Desired], wheel: Wheel, report: Report, decide: Decide = plan.plan
) -> int:
    """Make every machine what it should be; how many actions it took. Raises the first CommandFailed.

    decide: what to do to one machine, by default all that is needed.
    """
    machines = sorted(wanted, key=lambda each: not each.machine.is_master)
    with Crew(cluster, wheel, report, decide) as crew:
        if not any(each.machine.is_master for each in machines):
            crew.api_server.set()  # nobody here touches it: it answers, or the services wait for it by themselves
        return sum(done.result() for done in as_completed([crew.start(each) for each in machines]))


class Crew:
    def __init__(self, cluster: Cluster, wheel: Wheel, report: Report, decide: Decide) -> None:
        self.cluster = cluster
        self.wheel = wheel
        self.report = report
        self.decide = decide
        self.connections = ExitStack()
        self.pool = ThreadPoolExecutor(len(cluster.machines), thread_name_prefix="provision")
        self.api_server = threading.Event()
        self.given_up = threading.Event()
        self._fetching = threading.Lock()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind:
            self.given_up.set()
            self.api_server.set()
            self.connections.close()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.connections.close()

    def start(self, wanted: Desired) -> Future[int]:
        ssh = self.connections.enter_context(Ssh(self.cluster, wanted.machine))
        return self.pool.submit(self._provision, ssh, wanted)

    def _provision(self, ssh: Ssh, wanted: Desired) -> int:
        name = ssh.machine.name
        try:
            self.report.step(name, "reach it by SSH")
            ssh.connect(wait=REACH_SECONDS)
            self.report.step(name, "look at it")
            found = facts.gather(ssh, wanted.paths(), wanted.unit_names())
            parcel = plan.Parcel(self.wheel, functools.partial(self._wheels, found.target, name))
            actions = self.decide(wanted, found, parcel)
            self._act(ssh, wanted, actions)
        except BaseException:
            self.report.failed(name)
            raise
        self.report.done(name)
        return len(actions)

    def _act(self, ssh: Ssh, wanted: Desired, actions: list[plan.Action]) -> None:
        """In order. The master says when kube-apiserver answers: after its last action that starts it, or at once."""
        last = max((i for i, action in enumerate(actions) if plan.API_SERVER in action.units), default=-1)
        for index, action in enumerate(actions):
            if wanted.machine.is_master and index > last:
                self.api_server.set()
            if action.needs:
                self._wait_for_api_server(ssh)
            if self.given_up.is_set():
                raise CommandFailed(ssh.machine.name, action.title, tail="not tried, because something else failed")
            self.report.step(ssh.machine.name, action.title)
            act(ssh, action)
        if wanted.machine.is_master:
            self.api_server.set()

    def _wait_for_api_server(self, ssh: Ssh) -> None:
        if not self.api_server.is_set():
            self.report.step(ssh.machine.name, f"wait for {plan.API_SERVER}")
        seconds = API_SERVER_SECONDS * ssh.patience
        if not self.api_server.wait(seconds):
            raise TimedOut(ssh.machine.name, f"{plan.API_SERVER} on {self.cluster.master.name}", seconds)

    def _wheels(self, target: Target, name: str) -> bytes:
        """Every wheel for that Python as one tar; machines with the same Python share one fetch."""
        out = io.BytesIO()
        with self._fetching:
            directory = fetch(target, functools.partial(self.report.detail, name))
        with tarfile.open(fileobj=out, mode="w") as archive:
            for path in sorted(directory.glob("*.whl")):
                archive.add(path, path.name)
        return out.getvalue()


def act(ssh: Ssh, action: plan.Action) -> None:
    """Do one action. Raises CommandFailed, with the last words of the units that it was about."""
    try:
        ssh.run(ON_MACHINE + action.command, timeout=action.timeout, input=action.input(), what=action.title)
    except CommandFailed as exc:
        words, shortage = journal.last_words(ssh, action.units), _shortage(ssh)
        if not words and not shortage:
            raise
        said = f"{words or exc.tail}\n{shortage}"
        raise CommandFailed(ssh.machine.name, exc.what, action.command, exc.rc, said) from exc


def _shortage(ssh: Ssh) -> str:
    """What a command that failed, or took too long, does not know; empty when nothing is short, or nobody answers."""
    try:
        now = facts.gather(ssh, [], [], wait_for_boot=False)
    except CommandFailed:
        return ""
    used, allowed = now.memory_used >> 20, now.memory_allowed >> 20
    return f"{ssh.machine.name} is out of memory: it uses {used} of {allowed} MB" if now.short_of_memory else ""
