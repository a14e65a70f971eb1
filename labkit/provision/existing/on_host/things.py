"""What there is on this host that labkit may change, as a flat dictionary: kind and name -> a word on its state.

    file /etc/hosts             644 0 0 9f86d08...         directories and links, too; everything under /etc
    entry /var/lib/docker       d                          what lies in folders to which packages and labs add things
    package docker.io           installed
    user kube, group docker     their lines in passwd and group
    active docker.service       a service that runs
    sysctl net.ipv4.ip_forward  1
    chain, policy, rule iptables filter ...                the firewall, rule by rule: their order is not kept
    link docker0                network interfaces, those of containers aside
    module br_netfilter
    image, volume, network      docker's, while it runs

Reads only.
"""

import grp
import hashlib
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from labkit.provision.existing.on_host.ledger import Things

ENTRIES = ("/home", "/opt", "/root", "/srv", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin/policy-rc.d",
           "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/opt", "/var/spool")  # fmt: skip
NOT_OURS = ("/var/lib/labkit", "/var/log/journal")
SYSCTLS = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
           "net.ipv4.conf.all.forwarding", "net.ipv4.conf.default.forwarding", "net.ipv6.conf.all.forwarding",
           "net.ipv6.conf.default.forwarding", "net.ipv4.conf.all.route_localnet")  # fmt: skip
FIREWALLS = ("iptables", "ip6tables")
OF_CONTAINERS = ("veth",)


def look() -> Things:
    """All of it; about 0.5 s."""
    found: Things = {}
    for part in (files(), entries(), packages(), accounts(), active(), sysctls(), firewall(), links(), docker()):
        found.update(part)
    return found


def run(*command: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Its answer; an exit code of 127 where there is no such program, 124 where it took too long."""
    try:
        return subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as exc:
        return subprocess.CompletedProcess(command, 127, "", str(exc))
    except subprocess.TimeoutExpired as exc:
        return subprocess.CompletedProcess(command, 124, "", str(exc))


def files(root: str = "/etc") -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = f"{folder}/{name}"
            if (state := fingerprint(path)) is not None:
                yield f"file {path}", state


def fingerprint(path: str) -> str | None:
    """Kind, mode, owner and content; None when there is nothing (any more)."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return f"link {Path(path).readlink()}"
        word = f"{stat.S_IMODE(found.st_mode):o} {found.st_uid} {found.st_gid}"
        if stat.S_ISDIR(found.st_mode):
            return f"folder {word}"
        if not stat.S_ISREG(found.st_mode):
            return f"special {word}"
        return f"{word} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    except OSError:
        return None


def entries() -> Iterator[tuple[str, str]]:
    for parent in map(Path, ENTRIES):
        if parent.is_file():
            yield f"entry {parent}", "f"
        elif parent.is_dir():
            yield from ((f"entry {path}", "d") for path in parent.iterdir() if str(path) not in NOT_OURS)


def packages() -> Iterator[tuple[str, str]]:
    for line in run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n").stdout.splitlines():
        name, _, state = line.partition(" ")
        if state != "not-installed":
            yield f"package {name}", state


def accounts() -> Iterator[tuple[str, str]]:
    for user in pwd.getpwall():
        yield f"user {user.pw_name}", f"{user.pw_uid} {user.pw_gid} {user.pw_dir} {user.pw_shell}"
    for group in grp.getgrall():
        yield f"group {group.gr_name}", f"{group.gr_gid} {','.join(group.gr_mem)}"


def active() -> Iterator[tuple[str, str]]:
    listed = run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "--type=service,socket")
    for line in listed.stdout.splitlines():
        unit = line.split()[0]
        if not unit.startswith(("user@", "user-runtime-dir@", "session-")):
            yield f"active {unit}", ""


def sysctls() -> Iterator[tuple[str, str]]:
    for name in SYSCTLS:
        path = Path("/proc/sys") / name.replace(".", "/")
        if path.exists():
            yield f"sysctl {name}", path.read_text().strip()
    modules = Path("/proc/modules")  # a kernel without modules has none
    for line in modules.read_text().splitlines() if modules.exists() else []:
        yield f"module {line.split()[0]}", ""


def firewall() -> Iterator[tuple[str, str]]:
    for program in FIREWALLS:
        table = ""
        for line in run(f"{program}-save").stdout.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                chain, policy = line[1:].split()[:2]
                yield ((f"chain {program} {table} {chain}", "") if policy == "-"
                       else (f"policy {program} {table} {chain}", policy))  # fmt: skip
            elif line.startswith("-A "):
                yield f"rule {program} {table} {line[3:]}", ""


def links() -> Iterator[tuple[str, str]]:
    try:
        for link in json.loads(run("ip", "-json", "link").stdout or "[]"):
            if not link["ifname"].startswith(OF_CONTAINERS):
                yield f"link {link['ifname']}", ""
    except ValueError:
        return


def docker() -> Iterator[tuple[str, str]]:
    if run("systemctl", "is-active", "--quiet", "docker.service").returncode:
        return
    for kind, command in (
        ("image", ("image", "ls", "--all", "--quiet", "--no-trunc")),
        ("volume", ("volume", "ls", "--quiet")),
        ("network", ("network", "ls", "--quiet", "--no-trunc", "--filter", "type=custom")),
    ):
        for name in run("docker", *command).stdout.split():
            yield f"{kind} {name}", ""
