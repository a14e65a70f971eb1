"""From a pod's spec to the containers that docker is asked for: what is translated into what, and nothing else.

The pause container carries all that the pod has as one machine would: address, hostname, resolver, published ports.
Docker copies hostname and resolv.conf from there into each container that joins it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.api.quantity import milli_value, value
from labkit.api.types import Container as Spec
from labkit.api.types import ContainerPort, Pod, SecurityContext
from labkit.components.kubelet import runtime
from labkit.components.kubelet.ending import grace_of
from labkit.components.kubelet.env import Variables, expand, lookup
from labkit.components.kubelet.plan import spec_hash
from labkit.components.kubelet.runtime import (
    PAUSE,
    ContainerConfig,
    Mount,
    PortMapping,
    Resolver,
    Resources,
    container_name,
)
from labkit.components.kubelet.volume_files import is_read_only, place_name


@dataclass(frozen=True)
class Birth:
    """What a container is told about itself when it is made: see runtime.Container."""

    attempt: int
    backoff: float
    node: str


def configure_pause(pod: Pod, image: str, resolver: Resolver, birth: Birth) -> ContainerConfig:
    """The container that holds the pod's address."""
    on_host = bool(pod.spec.host_network)
    spec = Spec(name=PAUSE, image=image, ports=[port for c in pod.spec.containers for port in c.ports])
    return ContainerConfig(
        name=_docker_name(pod, spec),
        image=image,
        labels=_labels(pod, spec, birth),
        network="host" if on_host else "",
        ipc="host" if pod.spec.host_ipc else "",
        pid="host" if pod.spec.host_pid else "",
        hostname="" if on_host else hostname_of(pod),
        resolver=None if on_host else resolver,
        ports=() if on_host else tuple(_mapping(port) for port in spec.ports if port.host_port),
    )


def configure_container(
    pod: Pod, spec: Spec, pause: str, env: Variables, mounts: Mapping[str, str], birth: Birth
) -> ContainerConfig:
    """A container of the pod, in the network and IPC namespaces of the container `pause`.

    mounts: where each of the pod's volumes is, by name, a part of one by NAME/SUBPATH; and the file for its last words,
    under "".
    """
    resolve = lookup(dict(env))
    security = spec.security_context or SecurityContext()
    capabilities = security.capabilities
    return ContainerConfig(
        name=_docker_name(pod, spec),
        image=spec.image,
        labels=_labels(pod, spec, birth) | {runtime.MESSAGE_FILE: mounts.get("", "")},
        command=tuple(expand(word, resolve) for word in spec.command),
        args=tuple(expand(word, resolve) for word in spec.args),
        env=tuple(env),
        working_dir=spec.working_dir,
        user="" if security.run_as_user is None else str(security.run_as_user),
        mounts=_mounts(pod, spec, mounts),
        network=pause,
        ipc="host" if pod.spec.host_ipc else pause,
        pid="host" if pod.spec.host_pid else pause if pod.spec.share_process_namespace else "",
        resources=resources_of(spec),
        privileged=bool(security.privileged),
        capabilities_added=tuple(capabilities.add) if capabilities else (),
        capabilities_dropped=tuple(capabilities.drop) if capabilities else (),
        tty=bool(spec.tty),
        stdin=bool(spec.stdin),
    )


def hostname_of(pod: Pod) -> str:
    """The pod's name, as far as a hostname may be long."""
    return (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")


def resources_of(spec: Spec) -> Resources:
    """Limits and requests in bytes and thousandths of a core."""
    limits, requests = spec.resources.limits, spec.resources.requests
    return Resources(
        memory=value(limits["memory"]) if "memory" in limits else 0,
        cpu_limit=milli_value(limits["cpu"]) if "cpu" in limits else 0,
        cpu_request=milli_value(requests["cpu"]) if "cpu" in requests else 0,
    )


def _docker_name(pod: Pod, spec: Spec) -> str:
    meta = pod.metadata
    return container_name(spec.name, spec_hash(spec), f"{meta.namespace}/{meta.name}", meta.uid)


def _labels(pod: Pod, spec: Spec, birth: Birth) -> dict[str, str]:
    meta = pod.metadata
    return {
        runtime.POD: f"{meta.namespace}/{meta.name}",
        runtime.POD_UID: meta.uid,
        runtime.CONTAINER: spec.name,
        runtime.HASH: spec_hash(spec),
        runtime.ATTEMPT: str(birth.attempt),
        runtime.BACKOFF: f"{birth.backoff:g}",
        runtime.GRACE: str(grace_of(pod)),
        runtime.NODE: birth.node,
    }


def _mapping(port: ContainerPort) -> PortMapping:
    protocol = (port.protocol or "TCP").lower()
    return PortMapping(port.container_port or 0, port.host_port or 0, protocol, port.host_ip)


def _mounts(pod: Pod, spec: Spec, volumes: Mapping[str, str]) -> tuple[Mount, ...]:
    read_only = {volume.name for volume in pod.spec.volumes if is_read_only(volume)}
    mounts = [
        Mount(volumes[place_name(m)], m.mount_path, bool(m.read_only) or m.name in read_only)
        for m in spec.volume_mounts
    ]
    if last_words := volumes.get(""):
        mounts.append(Mount(last_words, spec.termination_message_path or "/dev/termination-log"))
    return tuple(mounts)
