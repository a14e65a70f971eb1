"""Images: when to pull one, and pulling each only once at a time however many pods ask for it."""

import asyncio

from labkit.components.kubelet.credentials import Credentials
from labkit.components.kubelet.runtime import Runtime

PARALLEL_PULLS = 3


def pull_policy(policy: str, image: str) -> str:
    """The policy that holds: Always for the tag `latest` spelled out, else IfNotPresent."""
    return policy or ("Always" if image.endswith(":latest") else "IfNotPresent")


def must_pull(policy: str, present: bool) -> bool:
    return policy == "Always" or (policy == "IfNotPresent" and not present)


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
