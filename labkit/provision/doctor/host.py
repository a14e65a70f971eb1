"""What of the host is wrong, what is only worth a note, and what is well: pure, from facts that were gathered."""

import ipaddress
from collections.abc import Iterator

from labkit.cluster import Cluster
from labkit.provision import host_facts
from labkit.provision.doctor.conditions import Conditions, Route
from labkit.provision.doctor.finding import Finding, note, well, wrong
from labkit.provision.host_facts import HostFacts
from labkit.provision.problem import Problem

HOST = "host"
OLDEST = {"docker": (20, 10), "vagrant": (2, 2)}
"""Older ones were never tried: --cgroupns came with docker 20.10."""
INSTANCES_OF_A_MACHINE = 16
"""inotify instances: systemd, journald, dbus, docker and the pods' own."""
OPEN_FILES = 1024
INODES = 200_000
VIRTUAL = ("libvirt", "virtualbox", "parallels", "vmware_desktop", "hyperv")


def findings(facts: HostFacts, now: Conditions) -> list[Finding]:
    """The host's share of the answer. A problem that stops `labkit up` is in the same words as there."""
    found = [_stops(problem, facts) for problem in host_facts.problems(facts)]
    found += _tools(facts, now)
    if facts.provider == "docker":
        found += _docker(facts, now)
        found += _ports(facts)
    found += _virtualization(facts, now)
    return [*found, *_limits(facts, now), *_room(facts, now), *_networks(facts, now)]


def _stops(problem: Problem, facts: HostFacts) -> Finding:
    """One that --fix can mend gets its remedy."""
    if problem in facts.hypervisor:  # that is a person's choice, and most of them are not Debian's
        return wrong(HOST, problem.what, problem.mend)
    if "not installed" in problem.what:
        return wrong(HOST, problem.what, problem.mend, "install")
    if problem.what == "docker is not running":
        return wrong(HOST, problem.what, problem.mend, "start-docker")
    if problem.what.startswith("the kernel has no "):
        return wrong(HOST, problem.what, problem.mend, "load-module", problem.what.split()[-1])
    return wrong(HOST, problem.what, problem.mend)


def _tools(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(now.versions.items()))
    yield well(HOST, f"python {now.python}, {versions}")
    for name, oldest in OLDEST.items():
        version = now.versions.get(name, "?")
        if version != "?" and tuple(map(int, version.split(".")[:2])) < oldest:
            expected = ".".join(map(str, oldest))
            yield wrong(HOST, f"{name} {version} is too old: {expected} or newer is needed",
                        f"install a newer one: `apt-get install {'docker.io' if name == 'docker' else name}`,"
                        " or from its maker")  # fmt: skip
    for program, package in (("iptables", "iptables"), ("ip", "iproute2")):
        if program not in now.versions:
            yield wrong(HOST, f"{program} is not installed", f"`apt-get install {package}`", "install")
    if facts.provider == "docker" and facts.docker_running and not now.image:
        if now.debootstrap:
            yield note(HOST, "the machines' image is not built yet", "`labkit image` builds it (2 to 5 minutes, once)")
        else:
            yield wrong(HOST, "the machines' image is not here, and debootstrap, which builds it, is not installed",
                        "`apt-get install debootstrap`, or `labkit up --bundle FILE`", "install")  # fmt: skip


def _docker(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    if not facts.docker_running:
        return
    info = now.docker
    if not now.cgroup or not now.memory_cgroup:
        yield wrong(HOST, "the kernel has no memory control groups: machines' memory has no limit",
                    "boot with `cgroup_enable=memory` (on a Raspberry Pi: in /boot/firmware/cmdline.txt)")  # fmt: skip
    else:
        yield well(HOST, f"cgroup v{now.cgroup}, docker's storage driver is {info.get('Driver', '?')}")
    security = " ".join(info.get("SecurityOptions") or [])
    if "rootless" in security:
        yield wrong(HOST, "docker runs rootless: it cannot give a machine the networks and mounts that it needs",
                    "`docker context use default`, with docker as a system service")  # fmt: skip
    if "userns" in security:
        yield wrong(HOST, "docker maps users (userns-remap): root on a machine could not mount",
                    'remove "userns-remap" from /etc/docker/daemon.json, then `systemctl restart docker`')  # fmt: skip
    if now.missing_capabilities:
        missing = ", ".join(now.missing_capabilities)
        yield wrong(HOST, f"docker itself lacks {missing}, which machines need",
                    "start docker outside of the container or sandbox that took it away, or use virtual machines:"
                    f" `labkit init --cluster {facts.name} --provider libvirt`")  # fmt: skip
    else:
        yield well(HOST, "docker has every capability that machines need")


def _ports(facts: HostFacts) -> Iterator[Finding]:
    if facts.docker_running and not facts.busy_ports:  # problems() tells of those that are taken
        yield well(HOST, "the ports of 127.0.0.1 that lead to machines are free, or theirs")


def _virtualization(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    if now.kvm:
        yield well(HOST, "hardware virtualization: /dev/kvm")
        return
    if facts.provider not in VIRTUAL:
        yield well(HOST, "no hardware virtualization (/dev/kvm), which these machines do not need")
        return
    mend = "nothing has to be done: machines are emulated, 5 to 10 times slower"
    if now.virtual:
        mend += "; this host is a virtual machine itself: allow nested virtualization on the computer that runs it"
        mend += " (kvm_intel or kvm_amd: `nested=1`; VirtualBox: `modifyvm NAME --nested-hw-virt on`)"
    else:
        mend += "; faster: switch on VT-x or AMD-V in the firmware, or `sudo usermod --append --groups kvm $USER`"
    yield note(HOST, "no hardware virtualization: /dev/kvm is missing or closed to this user", mend)


def _limits(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    needed = {"fs/inotify/max_user_instances": max(128, INSTANCES_OF_A_MACHINE * (facts.machines + 1)),
              "fs/inotify/max_user_watches": 8192, "fs/file-max": 65536, "kernel/pid_max": 32768}  # fmt: skip
    low = False
    for name, wanted in needed.items():
        value = now.limits.get(name, wanted)
        if value < wanted and (facts.provider == "docker" or name == "fs/file-max"):
            low, dotted = True, name.replace("/", ".")
            yield wrong(HOST, f"{dotted} is {value}, {wanted} are needed: machines' services would fail to start",
                        f"as root: `sysctl -w {dotted}={wanted}` (and that line in /etc/sysctl.d/labkit.conf)",
                        "sysctl", f"{dotted}={wanted}")  # fmt: skip
    if now.open_files < OPEN_FILES:
        low = True
        yield wrong(HOST, f"this shell may open {now.open_files} files, {OPEN_FILES} are needed",
                    f"`ulimit -n {OPEN_FILES}`, for ever: `* soft nofile {OPEN_FILES}` in /etc/security/limits.conf",
                    )  # fmt: skip
    if not low:
        yield well(HOST, "limits of files, processes and inotify suffice")


def _room(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    for path, free in now.inodes.items():
        if 0 < free < INODES:  # btrfs and its like say 0: they have no such limit
            yield wrong(HOST, f"{path} has room for {free} more files, {INODES} are needed",
                        f"`du --inodes -xd2 {path} | sort -n | tail` shows where they are: make room")  # fmt: skip
    disk = ", ".join(f"{path} {free / 2**30:.0f} GB" for path, free in facts.disk.items())
    yield well(HOST, f"free: {facts.memory_mb} MB of memory, disk {disk}")


def _networks(facts: HostFacts, now: Conditions) -> Iterator[Finding]:
    """A VPN's or an office's ranges. One more exact than ours takes our packets; one that is wider loses some."""
    ours = {f"br-{facts.name}", *(network.owner.split()[-1] for network in facts.networks if network.ours)}
    foreign = [route for route in now.routes if route.device not in ours and route.device != "lo"]
    machines = ipaddress.ip_network(facts.range)
    clash = False
    known = {network.cidr for network in facts.networks}
    for route in foreign:
        net = ipaddress.ip_network(route.cidr, strict=False)
        if not net.overlaps(machines) or any(_same(net, cidr) for cidr in known):  # those, problems() has told
            continue
        clash = True
        yield _clash(facts, route, net.prefixlen)
    for address in now.resolvers:
        if ipaddress.ip_address(address) in machines:
            clash = True
            yield wrong(HOST, f"the host's name server {address} lies in the machines' range {facts.range}",
                        _other_range(facts))  # fmt: skip
    if not clash:
        yield well(HOST, f"nothing else of this host lies in {facts.range}")


def _same(net: ipaddress.IPv4Network | ipaddress.IPv6Network, cidr: str) -> bool:
    return ipaddress.ip_network(cidr, strict=False) == net


def _clash(facts: HostFacts, route: Route, prefix: int) -> Finding:
    if prefix > ipaddress.ip_network(facts.range).prefixlen:
        return wrong(HOST, f"the route to {route.cidr} by {route.device} (a VPN?) takes packets for machines away",
                     _other_range(facts))  # fmt: skip
    return note(HOST, f"{facts.range} is a part of {route.cidr}, which {route.device} leads to (a VPN, an office?):"
                " while the cluster is up, the host does not reach those addresses there",
                _other_range(facts))  # fmt: skip


def _other_range(facts: HostFacts) -> str:
    flag = f"--cluster {facts.name}"
    return (
        f"`labkit destroy {flag}`, then `labkit init {flag} --machines 10.245.77.0/24`, or another range that is free"
    )


def summary(cluster: Cluster, found: list[Finding]) -> str:
    """The doctor's last line."""
    bad = sum(finding.is_wrong for finding in found)
    if not bad:
        return f"nothing is wrong: this host and the machines of cluster {cluster.name} are well"
    return f"{bad} thing{'s are' if bad > 1 else ' is'} wrong"
