"""Is the cluster whole? What is not yet as it should be, one line each.

every replication controller has as many pods that run as it wants
every Service with a selector has exactly the ready pods that it selects in its Endpoints
every kube-proxy's rules lead where the Endpoints say (rules.py)
every machine and service is well (provision/status.py)
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from labkit.api.errors import ApiError
from labkit.api.types import Endpoints, Pod, ReplicationController, Service, key
from labkit.cluster import Cluster, Machine
from labkit.provision import admin, status
from labkit.provision.errors import CommandFailed
from labkit.provision.faults import rules
from labkit.provision.ssh import Ssh

ASK_SECONDS = 5.0
AGAIN = 0.5


def missing(cluster: Cluster) -> list[str]:
    """Empty when the cluster is whole."""
    troubles = status.ask(cluster).troubles(restless=False)
    if troubles:
        return troubles
    try:
        controllers, services, endpoints, pods = asyncio.run(asyncio.wait_for(_objects(cluster), ASK_SECONDS))
        lines = [*short_of_pods(controllers, pods), *wrong_endpoints(services, endpoints, pods)]
        return lines or [
            line for machine in cluster.machines for line in _wrong_rules(cluster, machine, services, endpoints)
        ]
    except (ApiError, OSError, TimeoutError) as exc:
        return [f"kube-apiserver: {exc or 'does not answer'}"]
    except CommandFailed as exc:
        return [f"{exc.machine}: {exc.tail or exc.what}"]


def wait(cluster: Cluster, within: float, look: Callable[[list[str]], None] = lambda lines: None) -> float | None:
    """Seconds until the cluster was whole; None when it was not within the bound. `look` sees what is missing."""
    began = time.monotonic()
    while True:
        lines = missing(cluster)
        look(lines)
        if not lines:
            return time.monotonic() - began
        if time.monotonic() - began > within:
            return None
        time.sleep(AGAIN)


async def _objects(
    cluster: Cluster,
) -> tuple[list[ReplicationController], list[Service], list[Endpoints], list[Pod]]:
    async with admin.client(cluster) as client:
        return (
            (await client.list(ReplicationController)).items,
            (await client.list(Service)).items,
            (await client.list(Endpoints)).items,
            (await client.list(Pod)).items,
        )


def _wrong_rules(
    cluster: Cluster, machine: Machine, services: list[Service], endpoints: list[Endpoints]
) -> Iterator[str]:
    """Raises CommandFailed."""
    if "kube-proxy" not in status.watched_units(cluster, machine):
        return
    with Ssh(cluster, machine) as ssh:
        saved = ssh.run(rules.COMMANDS[cluster.proxy_mode], timeout=ASK_SECONDS, what="look at the rules").out
    for line in rules.wrong(cluster.proxy_mode, services, endpoints, saved):
        yield f"{machine.name}: {line}"


def short_of_pods(controllers: list[ReplicationController], pods: list[Pod]) -> Iterator[str]:
    for each in controllers:
        there = [pod for pod in pods if _selected(pod, each.metadata.namespace, each.spec.selector) and is_ready(pod)]
        wanted = each.spec.replicas or 0
        if len(there) != wanted:
            yield f"rc {key(each)}: {len(there)} of {wanted} pods are ready"


def wrong_endpoints(services: list[Service], endpoints: list[Endpoints], pods: list[Pod]) -> Iterator[str]:
    listed = {key(each): {one.ip for part in each.subsets for one in part.addresses} for each in endpoints}
    for each in services:
        if not each.spec.selector:
            continue
        ready = {pod.status.pod_ip for pod in pods
                 if _selected(pod, each.metadata.namespace, each.spec.selector) and is_ready(pod)}  # fmt: skip
        if listed.get(key(each), set()) != ready:
            yield f"endpoints {key(each)}: {sorted(listed.get(key(each), set()))}, the ready pods are {sorted(ready)}"


def _selected(pod: Pod, namespace: str, selector: dict[str, str]) -> bool:
    return pod.metadata.namespace == namespace and selector.items() <= pod.metadata.labels.items()


def is_ready(pod: Pod) -> bool:
    """Runs, is ready and is not being deleted."""
    ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)
    return ready and pod.status.phase == "Running" and not pod.metadata.deletion_timestamp
