"""Docker's words for ours: what it shows of a container, and what it is asked for when one is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.api.client import APIClient
from docker.types import LogConfig

from labkit.components.kubelet import runtime
from labkit.components.kubelet.runtime import Container, ContainerConfig, Resources
from labkit.components.kubelet.times import seconds

MESSAGE_BYTES = 4096
LOG_BOUNDS = {"max-size": "10m", "max-file": "2"}  # a container that floods its log fills nobody else's disk
CPU_PERIOD = 100_000  # microseconds, the kernel's default


def container_of(shown: Mapping[str, Any]) -> Container:
    """What `docker inspect` shows of a container of ours."""
    state, labels = shown["State"], shown["Config"]["Labels"]
    running = bool(state["Running"])
    created = state["Status"] == "created"
    return Container(
        id=shown["Id"],
        name=labels.get(runtime.CONTAINER, ""),
        pod=labels.get(runtime.POD, ""),
        pod_uid=labels.get(runtime.POD_UID, ""),
        state="running" if running else "created" if created else "exited",
        hash=labels.get(runtime.HASH, ""),
        attempt=int(labels.get(runtime.ATTEMPT, 0)),
        backoff=float(labels.get(runtime.BACKOFF, 0)),
        grace=int(labels.get(runtime.GRACE, 30)),
        image=shown["Config"]["Image"],
        image_id=shown["Image"],
        created=seconds(shown["Created"]),
        started=seconds(state["StartedAt"]),
        finished=0.0 if running else seconds(state["FinishedAt"]),
        exit_code=state["ExitCode"],
        oom_killed=bool(state.get("OOMKilled")),
        error=state["Error"] if created else "",
        ip=address(shown["NetworkSettings"]) if running else "",
        pid=state["Pid"] if running else 0,
        cgroup_parent=shown["HostConfig"].get("CgroupParent") or "",
        pids_limit=max(0, shown["HostConfig"].get("PidsLimit") or 0),
        message="" if running else _last_words(labels.get(runtime.MESSAGE_FILE, "")),
    )


def address(settings: Mapping[str, Any]) -> str:
    """The IPv4 address of a container that has its own network, "" of others."""
    networks = settings.get("Networks") or {}
    return settings.get("IPAddress") or next((n["IPAddress"] for n in networks.values() if n.get("IPAddress")), "")


def _last_words(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(MESSAGE_BYTES).decode(errors="replace")
    except OSError:  # none was mounted, or the pod's directory is gone
        return ""


def create_arguments(
    api: APIClient, config: ContainerConfig, cgroup_parent: str = "", disk_quota: int = 0
) -> dict[str, Any]:
    """What docker-py's create_container takes. disk_quota: bytes, 0 for none."""
    places: dict[str, Any] = {
        "cgroup_parent": cgroup_parent or None,
        "storage_opt": {"size": str(disk_quota)} if disk_quota else None,
    }
    return {
        "image": config.image,
        "name": config.name,
        "labels": dict(config.labels),
        "entrypoint": list(config.command) or None,
        "command": list(config.args) or None,
        "environment": [f"{name}={value}" for name, value in config.env],
        "working_dir": config.working_dir or None,
        "user": config.user or None,
        "hostname": config.hostname or None,
        "ports": [(port.container_port, port.protocol) for port in config.ports] or None,
        "tty": config.tty,
        "stdin_open": config.stdin,
        "host_config": api.create_host_config(**host_arguments(config), **places),
    }


def host_arguments(config: ContainerConfig) -> dict[str, Any]:
    joins = config.network not in ("", "host")
    arguments: dict[str, Any] = {
        "network_mode": f"container:{config.network}" if joins else config.network or "default",
        # an app can join the IPC namespace of a pause container only if that one was made to share it
        "ipc_mode": f"container:{config.ipc}" if config.ipc not in ("", "host") else config.ipc or "shareable",
        "pid_mode": f"container:{config.pid}" if config.pid not in ("", "host") else config.pid or None,
        "binds": [f"{m.source}:{m.target}{':ro' if m.read_only else ''}" for m in config.mounts],
        "privileged": config.privileged,
        "cap_add": list(config.capabilities_added) or None,
        "cap_drop": list(config.capabilities_dropped) or None,
        "port_bindings": _bindings(config) or None,
        "log_config": LogConfig(type="json-file", config=LOG_BOUNDS),
    }
    if config.resolver is not None:
        arguments |= {
            "dns": list(config.resolver.nameservers),
            "dns_search": list(config.resolver.searches) or ["."],  # none, and not the host's either
            "dns_opt": list(config.resolver.options),
        }
    return arguments | _limits(config)


def _bindings(config: ContainerConfig) -> dict[str, list[tuple[str, int]]]:
    bindings: dict[str, list[tuple[str, int]]] = {}
    for port in config.ports:
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append((port.host_ip, port.host_port))
    return bindings


def shares_of(wanted: Resources) -> int:
    """Of the processor, when cores are short: 1024 for a core, 0 where nothing is said."""
    cpu = wanted.cpu_request or wanted.cpu_limit
    return max(2, cpu * 1024 // 1000) if cpu else 0


def _limits(config: ContainerConfig) -> dict[str, Any]:
    """Memory, without swap on top. Shares are the weight when cores are short, the quota is a bound at all times."""
    wanted = config.resources
    limits: dict[str, Any] = {}
    if wanted.memory:
        limits |= {"mem_limit": wanted.memory, "memswap_limit": wanted.memory}
    if shares := shares_of(wanted):
        limits["cpu_shares"] = shares
    if wanted.cpu_limit:
        limits |= {"cpu_period": CPU_PERIOD, "cpu_quota": max(1000, wanted.cpu_limit * CPU_PERIOD // 1000)}
    if wanted.pids:
        limits["pids_limit"] = wanted.pids
    return limits
