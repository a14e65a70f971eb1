"""Each fault as commands: those that make it, and those that undo it.

    kill        SIGKILL: systemd, or the kubelet, starts it again. A machine: as if its plug was pulled
    pause       SIGSTOP: it is there and answers nothing
    stop        an orderly end
    partition   packets between machines are dropped, those of pods as well: both ways, or one
    slow        packets to another machine beyond a rate are dropped, and so many of all; or all come late (netem)
    skew        the clock of one service (libfaketime), or of a whole virtual machine, is wrong by so much
    disk        the disk of an agent's volumes is full: not the real one, a small one that is laid over it (disk.py)

Undoing can be done twice, and after a reboot that undid half of it. The controller's own way in is never touched: rules
name the other machines' addresses and pods, and nothing else.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.cluster import Cluster, Machine
from labkit.cluster_rules import EXISTING
from labkit.provision.faults.target import Target, Unclear
from labkit.provision.status import watched_units

HOST = "host"
CHAIN = "LABKIT-FAULT"
_NO_NETEM = "echo this kernel has no netem and cannot delay: --rate 16 and --loss 5 work everywhere >&2; exit 1"
EXACT = "--timer-property=AccuracySec=100ms"  # a timer may else be a minute late
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


@dataclass(frozen=True)
class Command:
    """`machine` is a machine's name, or HOST."""

    machine: str
    text: str

    def __str__(self) -> str:
        return f"[{self.machine}] # {self.text}"


@dataclass(frozen=True)
class Plan:
    """says: the fault in words. lasts: it stays until it is undone (a kill does not). seconds: 0 for no end."""

    says: str
    make: tuple[Command, ...]
    undo: tuple[Command, ...] = ()
    seconds: int = 0

    @property
    def lasts(self) -> bool:
        return bool(self.undo)


def _on(target: Target, *texts: str) -> tuple[Command, ...]:
    return tuple(Command(target.machine.name, text) for text in texts)


# -- processes and machines --------------------------------------------------------------------------------------------


def kill(cluster: Cluster, target: Target) -> Plan:
    if target.pod:
        return Plan(f"{target} was killed", _on(target, f"docker kill {_container(target)}"))
    if target.unit:
        return Plan(f"{target} was killed", _on(target, f"systemctl kill --signal=KILL {target.unit}"))
    if cluster.provider == "docker":
        return Plan(
            f"machine {target} is off", (_host(f"docker kill {cluster.container(target.machine)}"),), _up(cluster)
        )
    _is_ours(cluster, target)
    off = "sh -c 'echo 1 > /proc/sys/kernel/sysrq; (sleep 1; echo o > /proc/sysrq-trigger) &'"
    return Plan(f"machine {target} is off", _on(target, off), _up(cluster))


def pause(cluster: Cluster, target: Target) -> Plan:
    says = f"{target} is paused"
    if target.pod:
        return Plan(says, _on(target, f"docker pause {_container(target)}"), _on(target, _unpause(target)))
    if target.unit:
        stop, go = (f"systemctl kill --signal={signal} {target.unit}" for signal in ("STOP", "CONT"))
        return Plan(says, _on(target, stop), _on(target, f"{go} || true"))
    if cluster.provider != "docker":
        raise Unclear(f"a machine of provider {cluster.provider} cannot be paused from here: stop or kill it")
    name = cluster.container(target.machine)
    return Plan(f"machine {says}", (_host(f"docker pause {name}"),), (_host(f"docker unpause {name} || true"),))


def stop(cluster: Cluster, target: Target) -> Plan:
    if target.pod:
        return Plan(f"{target} was stopped", _on(target, f"docker stop {_container(target)}"))
    if target.unit:
        return Plan(f"{target} is stopped", _on(target, f"systemctl stop {target.unit}"),
                    _on(target, f"systemctl start {target.unit}"))  # fmt: skip
    if cluster.provider == "docker":
        return Plan(
            f"machine {target} is off", (_host(f"docker stop {cluster.container(target.machine)}"),), _up(cluster)
        )
    _is_ours(cluster, target)
    return Plan(f"machine {target} is off", _on(target, "systemctl poweroff"), _up(cluster))


def _is_ours(cluster: Cluster, target: Target) -> None:
    """Raises Unclear for a host that was there already: nobody could switch it on again from here."""
    if cluster.provider == EXISTING:
        raise Unclear(f"{target} is somebody's host, which stays on: stop or kill one of its components")


def _container(target: Target) -> str:
    name = f"-f name=k8s_{target.container}[.]" if target.container else ""
    return f'"$(docker ps -qf label=io.kubernetes.pod.name={target.pod} {name} | head -n 1)"'


def _unpause(target: Target) -> str:
    paused = f"docker ps -qf status=paused -f label=io.kubernetes.pod.name={target.pod}"
    return f"for each in $({paused}); do docker unpause $each; done"


def _host(text: str) -> Command:
    return Command(HOST, text)


def _up(cluster: Cluster) -> tuple[Command, ...]:
    return (_host(f"labkit up --cluster {cluster.name}"),)


# -- the network -------------------------------------------------------------------------------------------------------


def partition(cluster: Cluster, one: Machine, others: Sequence[Machine], number: int, one_way: bool) -> Plan:
    """Nothing passes between `one` and the others; `one_way`: nothing from `one` to them, what they send arrives."""
    rules = []
    for other in others:
        for address in (other.address, cluster.pod_cidr(other)):
            rules.append(f"-d {address} -j DROP")
            if not one_way:
                rules.append(f"-s {address} -j DROP")
    arrow = "->" if one_way else "|"
    return _firewall(
        f"{one.name} {arrow} {', '.join(other.name for other in others)}: nothing passes", one, rules, number
    )


def slow(cluster: Cluster, one: Machine, others: Sequence[Machine], number: int, rate: int, loss: float) -> Plan:
    """What `one` sends to the others beyond `rate` KiB/s is lost, and `loss` percent of all: TCP becomes as slow."""
    rules = []
    for other in others:
        for address in (other.address, cluster.pod_cidr(other)):
            if loss:
                rules.append(f"-d {address} -m statistic --mode random --probability {loss / 100:g} -j DROP")
            limit = f"-m hashlimit --hashlimit-above {rate}kb/s --hashlimit-burst {rate}kb"
            rules.append(f"-d {address} {limit} --hashlimit-name labkit{number} -j DROP")
    says = f"{one.name} -> {', '.join(other.name for other in others)}: {rate} KiB/s" + (
        f", {loss:g} % lost" if loss else ""
    )
    return _firewall(says, one, rules, number)


def _firewall(says: str, machine: Machine, rules: Sequence[str], number: int) -> Plan:
    """Rules in a chain of this fault's own, before all others that a packet meets on the machine."""
    chain = f"{CHAIN}-{number}"
    make = [f"iptables -N {chain}", *(f"iptables -A {chain} {rule}" for rule in rules)]
    hooks = ("INPUT", "OUTPUT", "FORWARD")
    make += [f"iptables -I {hook} -j {chain}" for hook in hooks]
    undo = [f"iptables -D {hook} -j {chain} 2>/dev/null || true" for hook in hooks]
    undo.append(f"iptables -F {chain} 2>/dev/null && iptables -X {chain} || true")
    return Plan(says, tuple(Command(machine.name, text) for text in make),
                tuple(Command(machine.name, text) for text in undo))  # fmt: skip


def delay(cluster: Cluster, one: Machine, milliseconds: int) -> Plan:
    """Everything that `one` sends comes so much later; our own way in as well. Needs netem in the kernel."""
    peer = next(other.address for other in cluster.machines if other != one)
    device = f"$(ip -o route get {peer} | grep -o 'dev [^ ]*' | cut -c5-)"
    make = f"modprobe -q sch_netem; tc qdisc add dev {device} root netem delay {milliseconds}ms || {{ {_NO_NETEM}; }}"
    return Plan(f"{one.name}: all that it sends comes {milliseconds} ms late", (Command(one.name, make),),
                (Command(one.name, f"tc qdisc del dev {device} root 2>/dev/null || true"),))  # fmt: skip


# -- clocks ------------------------------------------------------------------------------------------------------------


def skew(target: Target, seconds: int) -> Plan:
    """The service starts anew with a clock that is wrong by so much. Raises Unclear where that cannot be."""
    if target.pod or not target.unit.startswith("kube"):
        raise Unclear(f"{target}: only a component written in Python can have a clock of its own (kube-..., kubelet)")
    folder = f"/run/systemd/system/{target.unit}.service.d"
    find = f"lib=$(ls {FAKETIME}) || {{ echo 'libfaketime is not installed here' >&2; exit 1; }}"
    lines = ["[Service]", f"Environment=FAKETIME={seconds:+d}s", "Environment=FAKETIME_DONT_FAKE_MONOTONIC=1"]
    printed = " ".join(map(shlex.quote, lines)) + ' "Environment=LD_PRELOAD=$lib"'
    write = f"mkdir -p {folder}; printf '%s\\n' {printed} > {folder}/labkit-fault.conf"
    again = f"systemctl daemon-reload; systemctl restart {target.unit}"
    return Plan(f"{target}: its clock is wrong by {seconds:+d} s", _on(target, f"{find}; {write}; {again}"),
                _on(target, f"rm -f {folder}/labkit-fault.conf; {again}"))  # fmt: skip


def skew_machine(cluster: Cluster, machine: Machine, seconds: int) -> Plan:
    """The clock of a whole virtual machine; a reboot undoes it, too. Raises Unclear for a container."""
    if cluster.provider == EXISTING:
        raise Unclear(f"{machine.name} is somebody's host, whose clock is left alone: skew one of its components")
    if cluster.provider == "docker":
        services = ", ".join(unit for unit in watched_units(cluster, machine) if unit.startswith("kube"))
        raise Unclear(f"{machine.name} is a container and shares the host's clock, which is left alone: skew one of its"
                      f" components ({services}), or take machines of another provider")  # fmt: skip
    note = f"/run/labkit-clock{seconds:+d}"
    make = f"timedatectl set-ntp false; touch {note}; date -s '{seconds:+d} seconds'"
    undo = f"if rm {note} 2>/dev/null; then date -s '{-seconds:+d} seconds'; timedatectl set-ntp true; fi"
    return Plan(f"{machine.name}: its clock is wrong by {seconds:+d} s", (Command(machine.name, make),),
                (Command(machine.name, undo),))  # fmt: skip


def bounded(plan: Plan, seconds: int, number: int) -> Plan:
    """The same with an end: the machine itself undoes it after so long, even when nobody can reach it any more."""
    unit = f"labkit-heal-{number}"
    make, undo = list(plan.make), list(plan.undo)
    for machine in dict.fromkeys(command.machine for command in plan.undo if command.machine != HOST):
        script = shlex.quote("; ".join(command.text for command in plan.undo if command.machine == machine))
        timer = f"systemd-run --quiet --collect --unit={unit} --on-active={seconds} {EXACT} sh -c {script}"
        make.insert(0, Command(machine, timer))
        undo.append(Command(machine, f"systemctl stop {unit}.timer 2>/dev/null || true"))
    return Plan(f"{plan.says}, for {seconds} s", tuple(make), tuple(undo), seconds)
