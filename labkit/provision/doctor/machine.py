"""Each machine: is it reached, is it well, and is it what it should be?

The last is `plan.plan`, which `labkit up` uses: what it would do is what is wrong. Nothing is done here.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from labkit.cluster import Cluster, Machine
from labkit.provision import facts, own, plan, registry, wheels
from labkit.provision.desired import desired
from labkit.provision.doctor.finding import Finding, note, well, wrong
from labkit.provision.errors import CommandFailed
from labkit.provision.facts import FULL, Facts
from labkit.provision.pki import Pki
from labkit.provision.provider import machines
from labkit.provision.render import Sources
from labkit.provision.ssh import Ssh
from labkit.provision.status import REACH_SECONDS

CLOCK_SECONDS = 5
"""Certificates and leases are about time: a machine's may differ so much from the host's."""
LOOK = r"""
date +%s.%N
df --output=avail,size / | tail -1
df --output=iavail,itotal / | tail -1
systemctl list-units --failed --plain --no-legend | cut -d' ' -f1 | tr '\n' ' '; echo
ip -4 route show default | wc -l
ip -4 route show proto 77 | cut -d' ' -f1 | tr '\n' ' '; echo
iptables -w 5 -S LAB-NET 2>/dev/null | wc -l
sh -c 'ulimit -n'
"""


class Vitals(msgspec.Struct, kw_only=True):
    """clock: seconds ahead of the host. disk, inodes: (free, all). routes: to other machines' pods. fence: rules."""

    clock: float
    disk: tuple[int, int]
    inodes: tuple[int, int]
    failed: list[str]
    default_routes: int
    routes: list[str]
    fence: int
    open_files: int


def findings(cluster: Cluster) -> list[Finding]:
    """All machines at once. A cluster that was never up, or is halted, is no fault."""
    try:
        states = machines(cluster).status()
    except CommandFailed as exc:
        return [
            wrong("host", f"the machines' states are not known: {exc.tail.splitlines()[-1:] or exc}", "`labkit up`")
        ]
    if set(states.values()) <= {"not_created"}:
        return [note("host", f"the machines of cluster {cluster.name} are not made yet", "`labkit up`")]
    if not (cluster.state / "pki" / "ca.crt").exists():
        return [note("host", f"cluster {cluster.name} was never wholly up", "`labkit up` goes on where it stopped")]
    prepared = Sources(cluster, Pki(cluster.state / "pki"), registry.credentials(cluster.state), wheels.build())
    with ThreadPoolExecutor(len(cluster.machines)) as pool:
        answers = pool.map(lambda machine: _machine(prepared, machine, states[machine.name]), cluster.machines)
    return [finding for answer in answers for finding in answer]


def _machine(prepared: Sources, machine: Machine, state: str) -> list[Finding]:
    cluster = prepared.cluster
    if state != "running":
        return [note(machine.name, f"is {state.replace('_', ' ')}", "`labkit up` boots it")]
    wanted = desired(prepared, machine)
    try:
        with Ssh(cluster, machine) as ssh:
            ssh.connect(wait=REACH_SECONDS)
            vitals = read(ssh.run(LOOK, timeout=30, what="look at the machine").out, time.time())
            found = facts.gather(ssh, wanted.paths(), wanted.unit_names(), wait_for_boot=False)
    except CommandFailed as exc:
        reason = (exc.tail or exc.what).splitlines()[-1]
        return [
            wrong(
                machine.name,
                f"cannot be reached: {reason}",
                "`labkit up`; if that does not help, `labkit down` before it",
            )
        ]
    to_do = [action.title for action in plan.plan(wanted, found, plan.Parcel(prepared.wheel, bytes))]
    return [*judge(cluster, machine, vitals, found), *differs(machine, to_do)]


def read(printed: str, now: float) -> Vitals:
    """What LOOK printed, line by line."""
    clock, disk, inodes, failed, default_routes, routes, fence, files = printed.split("\n")[:8]
    free, size = map(int, disk.split())
    return Vitals(
        clock=float(clock) - now,
        disk=(free, size),
        inodes=tuple(int(word) if word.isdigit() else 0 for word in inodes.split()),  # type: ignore[arg-type]
        failed=failed.split(),
        default_routes=int(default_routes),
        routes=routes.split(),
        fence=int(fence),
        open_files=int(files) if files.strip().isdigit() else 1 << 20,
    )


def judge(cluster: Cluster, machine: Machine, now: Vitals, found: Facts) -> Iterator[Finding]:
    """What the machine's own figures say."""
    name = machine.name
    if abs(now.clock) > CLOCK_SECONDS:
        mend = "`systemctl restart systemd-timesyncd` there, or `labkit down` and `labkit up`"
        yield wrong(name, f"its clock is {now.clock:+.0f} s from the host's: certificates and leases go wrong", mend)
    for what, (free, size) in {"disk": now.disk, "room for files (inodes)": now.inodes}.items():
        if size and free < size * (1 - FULL):
            yield wrong(name, f"its {what} is {100 - 100 * free // size} % full",
                        f"`labkit ssh {name} 'du -xhd2 /var | sort -h | tail'` shows by what")  # fmt: skip
    if found.short_of_memory:
        used, allowed = found.memory_used >> 20, found.memory_allowed >> 20
        yield wrong(name, f"uses {used} of {allowed} MB of memory: the kernel will end processes there",
                    "run fewer pods, or raise its memoryMB in "
                    f"{cluster.state / 'cluster.json'}, then `labkit up`")  # fmt: skip
    for unit in now.failed:
        yield wrong(name, f"{unit} has failed", f"`labkit logs {unit.removesuffix('.service')} -m {name}` says why;"
                    f" `labkit ssh {name} systemctl restart {unit}`", "start-unit", name, unit)  # fmt: skip
    for unit in own.services(cluster, machine):
        if (fact := found.units.get(unit)) and fact.active == "inactive":
            yield wrong(name, f"{unit} does not run", f"`labkit ssh {name} systemctl start {unit}`",
                        "start-unit", name, f"{unit}.service")  # fmt: skip
    away = {cluster.pod_cidr(peer) for peer in cluster.machines if peer.name != name} - set(now.routes)
    if away or not now.fence:
        missing = [f"routes to {', '.join(sorted(away))}"] if away else []
        missing += [] if now.fence else ["the rules that keep packets in the lab"]
        yield wrong(name, f"lacks {' and '.join(missing)}", f"`labkit ssh {name} systemctl restart lab-net`",
                    "start-unit", name, "lab-net.service")  # fmt: skip
    if now.open_files < 1024:
        yield wrong(
            name, f"its processes may open {now.open_files} files only", "raise the limit of docker on the host"
        )
    own_units = set(own.services(cluster, machine))
    running = sum(found.units[unit].active == "active" for unit in own_units if unit in found.units)
    used, free = found.memory_used >> 20, now.disk[0] >> 20
    yield well(name, f"{running} of {len(own_units)} services run, {used} MB of memory used, {free} GB of disk free")


def differs(machine: Machine, to_do: list[str]) -> list[Finding]:
    """What `labkit up` would do there."""
    if not to_do:
        return [well(machine.name, "is what it should be")]
    return [wrong(machine.name, f"is not what it should be; missing: {', '.join(to_do)}", "`labkit up`")]
