"""Runs on a host, not here: prints as one line of JSON what must be known before anything is changed there.

Sent through SSH to the host's own `python3 -`, so it may import nothing but the standard library. Changes nothing, and
starts nothing: a docker that does not run is looked at in its files. `checks.py` says what the fields mean.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

OWNER = Path("/var/lib/labkit/owner")
LIVED_IN = ("/etc/kubernetes", "/opt/labkit", "/usr/share/labkit", "/var/lib/docker-registry", "/var/lib/etcd",
            "/var/lib/kubelet")  # fmt: skip
"""Where a machine of ours keeps its things: somebody else's Kubernetes, etcd or registry would be there too."""
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=15, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def parsed(*command: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(output(*command))
    except ValueError:
        return []
    return found


def release() -> dict[str, str]:
    """/etc/os-release: {"ID": "debian", "VERSION_ID": "12", ...}."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}


def addresses() -> list[dict[str, str]]:
    return [
        {"owner": link["ifname"], "cidr": f"{each['local']}/{each['prefixlen']}"}
        for link in parsed("ip", "-json", "-4", "address")
        for each in link["addr_info"]
    ]


def routes() -> list[dict[str, str]]:
    """All but the default ones, and those that labkit made (protocol 77)."""
    return [
        {"owner": route.get("dev", ""), "cidr": route["dst"]}
        for route in parsed("ip", "-json", "-4", "route")
        if route["dst"] != "default" and str(route.get("protocol")) != "77"
    ]


def resolvers() -> list[str]:
    words = [line.split() for path in RESOLVERS if Path(path).exists() for line in Path(path).read_text().splitlines()]
    return sorted({line[1] for line in words if len(line) > 1 and line[0] == "nameserver" and "." in line[1]})


def ssh_peer() -> str:
    """Who has opened this connection: sudo drops the variable that says so, our parents still have it."""
    process = os.getpid()
    while process > 1:
        for variable in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            if variable.startswith(b"SSH_CONNECTION="):
                return variable.decode().partition("=")[2].split()[0]
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
    return ""


def behind_router(peers: list[str]) -> list[str]:
    """Those that are not on a network of this host's own."""
    found = {peer: parsed("ip", "-json", "-4", "route", "get", peer) for peer in peers}
    return [peer for peer, ways in found.items() if not ways or "gateway" in ways[0]]


def containers() -> list[str]:
    """Names of docker's containers, also of those that do not run."""
    if "active" in output("systemctl", "is-active", "docker.service").split():
        return output("docker", "ps", "--all", "--format", "{{.Names}}").split()
    found = Path("/var/lib/docker/containers").glob("*/config.v2.json")
    return [json.loads(path.read_text())["Name"].lstrip("/") for path in found]


def listeners() -> dict[str, str]:
    """{"tcp 127.0.0.53:53": "systemd-resolve"}: who listens where; 0.0.0.0, * and [::] are every address."""
    found = {}
    for line in output("ss", "-Hlntup").splitlines():
        protocol, where = line.split()[0], line.split()[4]
        program = line.partition('(("')[2].partition('"')[0]
        found[f"{protocol} {re.sub('%[^:]*', '', where)}"] = program or "a program"
    return found


def memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def main() -> None:
    asked = json.loads(sys.argv[1])
    os_release = release()
    print(
        json.dumps(
            {
                "distribution": " ".join([os_release.get("ID", ""), os_release.get("ID_LIKE", "")]).strip(),
                "release": os_release.get("PRETTY_NAME", ""),
                "systemd": Path("/run/systemd/system").is_dir(),
                "apt": bool(shutil.which("apt-get")),
                "root": os.geteuid() == 0,
                "python": list(sys.version_info[:2]),
                "arch": platform.machine(),
                "memoryMB": memory_mb(),
                "diskMB": shutil.disk_usage("/var").free >> 20,
                "addresses": addresses(),
                "routes": routes(),
                "resolvers": resolvers(),
                "sshPeer": ssh_peer(),
                "behindRouter": behind_router(asked["peers"]),
                "containers": containers(),
                "listeners": listeners(),
                "livedIn": [path for path in LIVED_IN if Path(path).is_dir() and any(Path(path).iterdir())],
                "owner": OWNER.read_text().strip() if OWNER.exists() else "",
            }
        )
    )


if __name__ == "__main__":
    main()
