"""Images: when to pull one, and pulling each only once at a time however many pods ask for it.

A machine of the lab reaches registries on the lab's network. What Docker Hub has (`redis`, `library/redis:7`) comes
through a mirror there, the first of which is the master's registry; docker mirrors no other public registry.
"""

import asyncio
import ipaddress

from docker.auth import resolve_repository_name
from docker.errors import InvalidRepository

from labkit.components.kubelet.credentials import DOCKER_HUB, Credentials
from labkit.components.kubelet.runtime import Runtime

PARALLEL_PULLS = 3


def pull_policy(policy: str, image: str) -> str:
    """The policy that holds: Always for the tag `latest` spelled out, else IfNotPresent."""
    return policy or ("Always" if image.endswith(":latest") else "IfNotPresent")


def must_pull(policy: str, present: bool) -> bool:
    return policy == "Always" or (policy == "IfNotPresent" and not present)


def is_out_of_reach(image: str, mirror: str) -> bool:
    """Whether only a public registry has it that no mirror stands for. `mirror`: see Settings.registry_mirror."""
    return bool(mirror) and _registry(image) != DOCKER_HUB and _is_public(_registry(image))


def mend(image: str, mirror: str) -> str:
    """What a failed pull of a public image says besides docker's own words; "" when those are enough."""
    if is_out_of_reach(image, mirror):
        return (
            f"; {_registry(image)} is not reached from this machine, and a mirror only has what Docker Hub has:"
            " have the image in a registry on the lab's network"
        )
    if not mirror or _registry(image) != DOCKER_HUB:
        return ""
    if mirror == "none":
        return (
            "; the master's registry does not have it and public ones are not reached from this machine: set"
            " registry.mirror in cluster.json and run labkit up, or take an image that the master has"
        )
    return f"; neither the master's registry nor the mirror {mirror} gave it"


def _registry(image: str) -> str:
    """`docker.io` of a name without a registry; "" of one that docker will refuse."""
    try:
        return str(resolve_repository_name(image)[0])
    except InvalidRepository:
        return ""


def _is_public(registry: str) -> bool:
    """Named by a domain; the lab's own are addresses, or plain names such as `master`, `host.lab`."""
    host = registry.rpartition(":")[0] or registry
    if "." not in host or host.endswith(".lab"):
        return False
    try:
        return not ipaddress.ip_address(host).is_private
    except ValueError:
        return True


class Images:
    """Pulls in the background: a pod that waits for an image holds up no other."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pulls: dict[tuple[str, Credentials | None], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PARALLEL_PULLS)

    async def pull(self, image: str, login: Credentials | None = None) -> None:
        """Pull, or wait for the pull that somebody else began; RuntimeFailure says why it failed."""
        wanted = image, login
        task = self._pulls.get(wanted)
        if task is None:
            task = self._pulls[wanted] = asyncio.create_task(self._pull(image, login), name=f"pull-{image}")
            task.add_done_callback(lambda done: self._ended(wanted, done))
        await asyncio.shield(task)

    async def close(self) -> None:
        tasks = list(self._pulls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, wanted: tuple[str, Credentials | None], task: asyncio.Task[None]) -> None:
        self._pulls.pop(wanted, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may, when the pod is gone

    async def _pull(self, image: str, login: Credentials | None) -> None:
        async with self._slots:
            await self._runtime.pull(image, login)
