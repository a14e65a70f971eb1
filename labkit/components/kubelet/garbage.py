"""What may be cleared away on a node: ended containers, images that nobody uses. Decisions only; collector.py acts.

An ended container is worth its log and its exit code, so the last of each name stays as long as its pod runs, and
one more for `kubectl logs --previous`. An image is worth a pull: images go only when the disk is nearly full, those
first that were not used for the longest time.
Source: Kubernetes 1.0, pkg/kubelet/container_gc.go and image_manager.go.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labkit.components.kubelet.runtime import PAUSE, Container, Disk, Image


@dataclass(frozen=True)
class Keeping:
    """youngest: seconds since its end in which a container is left alone. of_name: ended ones of one container of a
    pod. in_all: ended ones of the node, negative for no bound. high, low: use of the disk, in hundredths, above which
    images go and down to which."""

    youngest: float = 60.0
    of_name: int = 2
    in_all: int = 100
    high: int = 90
    low: int = 80


def ended_too_many(
    containers: Sequence[Container], living: Collection[str], keeping: Keeping, now: float
) -> list[Container]:
    """The ended containers to remove, oldest first; `living`: uids of pods that have not ended."""
    newest = {(c.pod_uid, c.name): c.id for c in sorted(containers, key=lambda c: c.created)}
    dead = sorted((c for c in containers if c.died and c.name != PAUSE), key=_end)
    old = [c for c in dead if now - _end(c) >= keeping.youngest]
    spare = [c for c in old if c.pod_uid not in living or newest[c.pod_uid, c.name] != c.id]
    surplus = [c for c in spare if _younger(c, dead) >= keeping.of_name]
    more = len(dead) - len(surplus) - keeping.in_all if keeping.in_all >= 0 else 0
    rest = [c for c in spare if c not in surplus]
    return sorted(surplus + rest[: max(0, more)], key=_end)


def _younger(container: Container, dead: Sequence[Container]) -> int:
    """How many of its name ended after it; `dead` is in that order."""
    same = [c.id for c in dead if (c.pod_uid, c.name) == (container.pod_uid, container.name)]
    return len(same) - 1 - same.index(container.id)


def _end(container: Container) -> float:
    return container.finished or container.created


def images_to_remove(
    images: Sequence[Image], used: Collection[str], last_used: Mapping[str, float], disk: Disk, keeping: Keeping
) -> list[Image]:
    """The images to remove, in this order; `used`: ids of those that a container has, or that we will need."""
    if disk.used_percent < keeping.high:
        return []
    wanted = disk.used - disk.capacity * keeping.low // 100
    found: list[Image] = []
    for image in sorted((i for i in images if i.id not in used), key=lambda image: last_used.get(image.id, 0.0)):
        if wanted <= 0:
            break
        found.append(image)
        wanted -= image.size
    return found
