"""Memory file systems that are plain directories: for tests and hollow nodes, which have no right to mount."""

from pathlib import Path

from labkit.components.kubelet.mounts import Mounted


class FakeMounts:
    """Remembers what is mounted."""

    def __init__(self) -> None:
        self.sizes: dict[Path, int] = {}

    def in_memory(self, path: Path, mode: int, size: int = 0) -> None:
        if path not in self.sizes:
            self.sizes[path] = size
            path.chmod(mode)

    def end(self, path: Path) -> None:
        del self.sizes[path]

    def below(self, path: Path) -> list[Mounted]:
        return [Mounted(place, "tmpfs") for place in self.sizes if place == path or path in place.parents][::-1]
