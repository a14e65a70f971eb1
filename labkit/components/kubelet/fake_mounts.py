"""File systems that are plain directories: for tests and hollow nodes, which have no right to mount."""

import asyncio
from pathlib import Path

from labkit.components.kubelet.mounts import Mounted
from labkit.components.kubelet.remote_mounts import Remote
from labkit.components.kubelet.volume_files import VolumeFailure


class FakeMounts:
    """Remembers what is mounted. away: servers that never answer; refusing: what they say; dead: mounts that broke."""

    def __init__(self) -> None:
        self.sizes: dict[Path, int] = {}
        self.parts: dict[Path, str] = {}  # place -> the directory that it is once more
        self.remote: dict[Path, Remote] = {}
        self.away: set[str] = set()
        self.refusing: dict[str, str] = {}
        self.dead: set[Path] = set()

    def in_memory(self, path: Path, mode: int, size: int = 0) -> None:
        if path not in self.sizes:
            self.sizes[path] = size
            path.chmod(mode)

    def again(self, descriptor: int, path: Path) -> None:
        self.parts[path] = str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def end(self, path: Path) -> None:
        del (self.sizes if path in self.sizes else self.parts)[path]

    async def attach(self, remote: Remote, path: Path, log: Path) -> None:
        server = remote.source.partition(":")[0]
        if server in self.away:
            await asyncio.Event().wait()
        if server in self.refusing:
            raise VolumeFailure(self.refusing[server])
        self.remote[path] = remote

    async def detach(self, path: Path) -> None:
        del self.remote[path]
        self.dead.discard(path)

    async def answers(self, path: Path) -> bool:
        return path not in self.dead

    def below(self, path: Path) -> list[Mounted]:
        every = [Mounted(place, "tmpfs") for place in self.sizes]
        every += [Mounted(place, "ext4") for place in self.parts]
        every += [Mounted(place, "fuse.glusterfs") for place in self.remote]
        return [mounted for mounted in every if mounted.path == path or path in mounted.path.parents][::-1]
