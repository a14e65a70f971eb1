"""The volumes of one pod: made before its containers, kept like what they are made of, ended with the pod."""

import asyncio
from collections.abc import Callable
from math import inf

from labkit.api.types import Pod, key
from labkit.components.kubelet.claims import ApiServerAway, Resolved
from labkit.components.kubelet.shared import Shared
from labkit.components.kubelet.sources import SourceFailure, referred_by_volumes
from labkit.components.kubelet.volume_files import VolumeFailure, files_of, is_written_by_kubelet
from labkit.components.kubelet.volumes import uninterrupted

PATIENCE = 1.0
"""Seconds that a pod's worker waits for them; what takes longer (a clone) goes on behind its back."""


class PodVolumes:
    """places: where each volume is on this machine, by its name, once they are made. on_made: called when a `make` that
    had to be left has ended."""

    def __init__(self, shared: Shared, on_made: Callable[[], None]) -> None:
        self.places: dict[str, str] = {}
        self._shared = shared
        self._on_made = on_made
        self._made = False
        self._left = False  # nobody waits for `_making` any more
        self._ended = False
        self._making: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._resolved: Resolved | None = None
        self._lock = asyncio.Lock()  # one at a time: make, refresh, end

    async def make(self, pod: Pod, *, anew: bool) -> bool:
        """Whether they are all there; False while they are being made. `anew`: look at each again, as after a reboot.

        Raises VolumeFailure, SourceFailure, OSError.
        """
        if self._making is None:
            if self._made and not anew:
                return True
            self._made, self._left, self._failure = False, False, None
            self._making = self._shared.spawn(self._make(pod), f"volumes of {key(pod)}")
        await asyncio.wait([self._making], timeout=PATIENCE)
        if not self._making.done():
            self._left = True
            return False
        self._making = None
        if self._failure is not None:
            raise self._failure
        return True

    async def _make(self, pod: Pod) -> None:
        try:
            async with self._lock:
                found = await self._shared.sources.read(referred_by_volumes(pod), pod.metadata.namespace)
                self.places = await self._shared.volumes.set_up(pod, found, await self._resolve(pod))
            self._made = True
        except (VolumeFailure, SourceFailure, OSError) as exc:
            self._failure = exc
        if self._left:
            self._on_made()

    async def _resolve(self, pod: Pod) -> Resolved:
        """What its claims stand for; while the API server is away what they stood for before."""
        try:
            self._resolved = await self._shared.claims.resolve(pod)
        except ApiServerAway:
            if self._resolved is None:
                raise
        return self._resolved

    async def refresh(self, pod: Pod, since: float = inf) -> None:
        """Bring the files up to date with secrets and config maps read after `since` (monotonic), and with the pod."""
        if self._ended or self._lock.locked() or not any(map(is_written_by_kubelet, pod.spec.volumes)):
            return
        async with self._lock:
            try:
                found = await self._shared.sources.read(referred_by_volumes(pod), pod.metadata.namespace, since)
                changed = await uninterrupted(self._shared.volumes.refresh, pod, found)
            except (VolumeFailure, SourceFailure, OSError) as exc:
                changed = []
                self.tell(pod, exc)
        for name in changed:
            cause = "its source is not what it was"
            self._shared.trace.decision("volume updated", pod, cause=cause, function=files_of, volume=name)

    def tell(self, pod: Pod, failure: Exception) -> None:
        """The original's event."""
        name = f"{pod.metadata.name}_{pod.metadata.namespace}"
        self._shared.event(pod, "failedMount", f'Unable to mount volumes for pod "{name}": {failure}')

    async def end(self, uid: str) -> None:
        """Remove them with all that the pod left on this machine. Raises VolumeFailure."""
        self._ended = True
        await self.stop()
        async with self._lock:
            await self._shared.volumes.tear_down(uid)

    async def stop(self) -> None:
        """Leave them as they are."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait([self._making])
            self._making = None
