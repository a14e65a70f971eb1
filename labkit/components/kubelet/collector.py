"""Clearing away: every minute the ended containers and unused images that garbage.py names."""

import asyncio
import time
from collections.abc import Callable, Collection

from labkit.components.kubelet.garbage import Keeping, ended_too_many, images_to_remove
from labkit.components.kubelet.runtime import Container, Runtime, RuntimeFailure
from labkit.trace import Tracer

SECONDS = 60.0


class Collector:
    """living: uids of the pods that have not ended. pause_image: is not removed. tell: an event about the node."""

    def __init__(
        self, runtime: Runtime, keeping: Keeping, pause_image: str, living: Callable[[], Collection[str]],
        tell: Callable[[str, str], None], trace: Tracer,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._keeping = keeping
        self._pause_image = pause_image
        self._living = living
        self._tell = tell
        self._trace = trace
        self._last_used: dict[str, float] = {}  # by image id; an image that was never seen in use was when first seen

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await self.collect()
            except RuntimeFailure as exc:
                self._trace.log("nothing cleared away", level="warning", error=str(exc))

    async def collect(self) -> None:
        """Once; raises RuntimeFailure when the runtime does not answer."""
        containers = await self._runtime.containers()
        for container in ended_too_many(containers, self._living(), self._keeping, time.time()):
            self._trace.log("ended container removed", pod=container.pod, container=container.name, id=container.id)
            await self._runtime.remove(container.id)
        await self._collect_images(containers)

    async def _collect_images(self, containers: Collection[Container]) -> None:
        images, now = await self._runtime.images(), time.time()
        used = {container.image_id for container in containers}
        pause = {self._pause_image, f"{self._pause_image}:latest"}
        used |= {image.id for image in images if not pause.isdisjoint(image.names)}
        known = self._last_used
        self._last_used = {i.id: now if i.id in used else known.get(i.id, now) for i in images}
        disk = await self._runtime.disk()
        doomed = images_to_remove(images, used, self._last_used, disk, self._keeping)
        for image in doomed:
            name = image.names[0] if image.names else image.id
            try:
                await self._runtime.remove_image(image.id)
                self._trace.log("image removed", cause=f"the disk is {disk.used_percent} % full", image=name)
            except RuntimeFailure as exc:  # a container that is not ours has it
                self._trace.log("image not removed", level="warning", error=str(exc), image=name)
        if disk.used_percent >= self._keeping.high:
            wanted, freed = disk.used - disk.capacity * self._keeping.low // 100, await self._freed(disk.used)
            if freed < wanted:
                text = "failed to garbage collect required amount of images. Wanted to free"
                self._tell("freeDiskSpaceFailed", f"{text} {wanted}, but freed {freed}")

    async def _freed(self, before: int) -> int:
        return max(0, before - (await self._runtime.disk()).used)
