"""Volumes: directories that outlive the containers of a pod, and end with the pod.

    /var/lib/kubelet/pods/UID/volumes/
        kubernetes.io~empty-dir/NAME      emptyDir: made with the pod; of medium Memory a tmpfs
        kubernetes.io~secret/NAME         secret: files on a tmpfs, so that they are on no disk
        kubernetes.io~downward-api/NAME   downwardAPI: the same
        kubernetes.io~configmap/NAME      configMap: files
        kubernetes.io~git-repo/NAME       gitRepo: a clone
        kubernetes.io~glusterfs/NAME      glusterfs, nfs: mounted (remote_mounts.py)
    /var/lib/kubelet/pods/UID/volume-subpaths/NAME/CONTAINER/0   a part of a volume (sub_paths.py)
    /var/lib/kubelet/pods/UID/containers/NAME/...   what a container says when it ends
    anything on the machine                         hostPath: there before and after

A persistentVolumeClaim is whatever its volume is made of (claims.py).
Nobody but root gets into /var/lib/kubelet/pods; docker, which is root, mounts what a container may see into it. What is
in the files is volume_files.py's decision, that they change all at once volume_writer.py's work.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from labkit.api.quantity import value
from labkit.api.types import Container, EmptyDirVolumeSource, Pod, Volume, VolumeSource, sources
from labkit.components.kubelet import git_repo, sub_paths, volume_writer
from labkit.components.kubelet.claims import Resolved
from labkit.components.kubelet.mounts import Mounts
from labkit.components.kubelet.remote_mounts import TYPES, remote_of
from labkit.components.kubelet.sources import Found
from labkit.components.kubelet.volume_files import VolumeFailure, files_of, is_written_by_kubelet, place_name

# What an API object calls them, for those that have files or a directory of ours.
_PLUGINS = {
    "empty_dir": "empty-dir", "secret": "secret", "config_map": "configmap", "downward_api": "downward-api",
    "git_repo": "git-repo", "glusterfs": "glusterfs", "nfs": "nfs",
}  # fmt: skip
P = ParamSpec("P")
T = TypeVar("T")

SECRET_BYTES = 4 << 20
"""A secret has at most 1 MiB; while it changes it is there twice."""


class Volumes:
    """The pod directories under one root, /var/lib/kubelet on a machine."""

    def __init__(self, root: Path, mounts: Mounts, address: str = "") -> None:
        """address: this machine's, which is asked first where it is one of several servers."""
        self.root = root
        self.mounts = mounts
        self.address = address

    def pod_directory(self, uid: str) -> Path:
        return self.root / "pods" / uid

    async def set_up(self, pod: Pod, found: Found, resolved: Resolved | None = None) -> dict[str, str]:
        """Make every volume of a pod; where each is on this machine, by its name. Raises VolumeFailure, OSError.

        resolved: what its claims stand for; may be left out where it has none.
        """
        resolved = resolved or Resolved(pod.spec.volumes)
        places = await uninterrupted(self._make_all, pod, resolved.volumes, found)
        for volume in resolved.volumes:
            if volume.git_repo is not None and not places[volume.name].is_dir():
                await self._clone(volume, places[volume.name])
        remote = [volume for volume in resolved.volumes if volume.glusterfs or volume.nfs]
        for volume in remote:
            await self._attach(volume, resolved.servers.get(volume.name, []), places[volume.name])
        return {name: str(place) for name, place in places.items()}

    def parts(self, pod: Pod, container: Container, places: Mapping[str, str]) -> dict[str, str]:
        """`places`, and by NAME/SUBPATH where the parts are that the container mounts by subPath. Raises VolumeFailure.

        Where the kubelet alone writes, its own links are followed; elsewhere none is.
        """
        ours = {volume.name for volume in pod.spec.volumes if is_written_by_kubelet(volume)}
        found = dict(places)
        for number, mount in enumerate(mount for mount in container.volume_mounts if mount.sub_path):
            top, part = Path(places[mount.name]), Path(mount.sub_path)
            if mount.name not in ours:
                directory = self.pod_directory(pod.metadata.uid) / "volume-subpaths"
                place = directory / mount.name / container.name / str(number)
                found[place_name(mount)] = str(self._part(top, mount.sub_path, place))
                continue
            if part.is_absolute() or ".." in part.parts or not (top / part).exists():
                there = ", ".join(sorted(volume_writer.read(top)))
                raise VolumeFailure(f'volume "{mount.name}": subPath {mount.sub_path!r} is not in it (there: {there})')
            found[place_name(mount)] = str((top / part).resolve())
        return found

    def _part(self, top: Path, part: str, place: Path) -> Path:
        """Mounted anew for each container: what was there may have been removed."""
        try:
            descriptor = sub_paths.open_part(top, part)
        except (OSError, VolumeFailure) as exc:
            raise VolumeFailure(f'volume "{top.name}": {exc}') from exc
        try:
            for mounted in self.mounts.below(place):
                self.mounts.end(mounted.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            is_directory = Path(f"/proc/self/fd/{descriptor}").is_dir()
            place.mkdir(exist_ok=True) if is_directory else place.touch()
            self.mounts.again(descriptor, place)
        finally:
            os.close(descriptor)
        return place

    def refresh(self, pod: Pod, found: Found) -> list[str]:
        """Write anew what differs from its source, of the volumes that are there; their names.

        Raises VolumeFailure for the first that cannot be; the others are done nevertheless.
        """
        changed: list[str] = []
        failure: VolumeFailure | OSError | None = None
        for volume in filter(is_written_by_kubelet, pod.spec.volumes):
            place = self._place(pod, volume)
            try:
                if (place / volume_writer.DATA).is_dir() and volume_writer.write(place, files_of(volume, pod, found)):
                    changed.append(volume.name)
            except (VolumeFailure, OSError) as exc:
                failure = failure or exc
        if failure is not None:
            raise failure
        return changed

    def termination_log(self, uid: str, container: str) -> Path:
        """A new empty file for the last words of a container, to be mounted into it."""
        directory = self._private(uid) / "containers" / container
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / secrets.token_hex(8)
        path.touch()
        path.chmod(0o666)  # the container may run as any user
        return path

    async def tear_down(self, uid: str) -> None:
        """Remove all that a pod left; what somebody else mounted there stays (its content is not ours).

        Raises VolumeFailure.
        """
        directory = self.pod_directory(uid)
        await asyncio.to_thread(self._end_parts, directory)
        for mounted in await asyncio.to_thread(self.mounts.below, directory):
            if mounted.type in TYPES and _is_volume(mounted.path):
                await self.mounts.detach(mounted.path)
        await asyncio.to_thread(self._remove, directory)

    def _end_parts(self, directory: Path) -> None:
        for mounted in self.mounts.below(directory / "volume-subpaths"):
            self.mounts.end(mounted.path)

    def _remove(self, directory: Path) -> None:
        if not directory.is_dir():
            return
        for mounted in self.mounts.below(directory):
            if mounted.type == "tmpfs" and _is_volume(mounted.path):
                self.mounts.end(mounted.path)
        if foreign := [str(mounted.path) for mounted in self.mounts.below(directory)]:
            raise VolumeFailure(f"still mounted: {', '.join(foreign)}: unmount it, and the pod goes")
        try:
            shutil.rmtree(directory)
        except OSError as exc:
            raise VolumeFailure(f"cannot remove {directory}: {exc}") from exc

    def pods(self) -> set[str]:
        """The uids of the pods that have a directory here."""
        return {path.name for path in (self.root / "pods").glob("*") if path.is_dir()}

    # -- one volume -------------------------------------------------------------------------------------------------

    def _make_all(self, pod: Pod, volumes: list[Volume], found: Found) -> dict[str, Path]:
        return {volume.name: self._make(pod, volume, found) for volume in volumes}

    def _make(self, pod: Pod, volume: Volume, found: Found) -> Path:
        if volume.host_path is not None:
            return Path(volume.host_path.path)
        place = self._place(pod, volume)
        if volume.git_repo or volume.glusterfs or volume.nfs:  # the clone, or the mount, is still to come
            self._private(pod.metadata.uid)
            place.parent.mkdir(parents=True, exist_ok=True)
            return place
        files = files_of(volume, pod, found) if is_written_by_kubelet(volume) else None
        self._private(pod.metadata.uid)
        if files is None:
            self._empty(volume.empty_dir or EmptyDirVolumeSource(), place)
            return place
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        if volume.config_map is None:
            self.mounts.in_memory(
                place, 0o755, max(SECRET_BYTES, 3 * sum(len(file.content) for file in files.values()))
            )
        volume_writer.write(place, files)
        return place

    def _empty(self, source: EmptyDirVolumeSource, place: Path) -> None:
        """A directory that every container of the pod may write, whatever its user."""
        if not place.is_dir():
            place.mkdir(parents=True)
            place.chmod(0o777)
        if source.medium == "Memory":
            self.mounts.in_memory(place, 0o777, value(source.size_limit) if source.size_limit else 0)

    async def _attach(self, volume: Volume, servers: list[str], place: Path) -> None:
        """Mount it, unless it is there and works. What is mounted is not touched: it may hang."""
        remote = remote_of(volume, servers, self.address)
        assert remote is not None
        log = place.parents[2] / "plugins" / place.parent.name / f"{volume.name}.log"
        try:
            if await asyncio.to_thread(self.mounts.below, place):
                if await self.mounts.answers(place):
                    return
                await self.mounts.detach(place)
            for directory in (place, log.parent):
                await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            await self.mounts.attach(remote, place, log)
        except VolumeFailure as exc:
            raise VolumeFailure(f'volume "{volume.name}": {exc}') from exc

    async def _clone(self, volume: Volume, place: Path) -> None:
        assert volume.git_repo is not None
        try:
            await git_repo.clone(volume.git_repo, place)
        except VolumeFailure as exc:
            raise VolumeFailure(f'volume "{volume.name}": {exc}') from exc

    def _place(self, pod: Pod, volume: Volume) -> Path:
        """Where it is. Raises VolumeFailure for a kind that is not offered."""
        kind = kind_of(volume)
        if kind == "host_path":
            return Path(volume.host_path.path if volume.host_path else "")
        if volume.empty_dir is not None and volume.empty_dir.medium not in ("", "Default", "Memory"):
            medium = volume.empty_dir.medium
            raise VolumeFailure(f'volume "{volume.name}": emptyDir medium {medium} is not offered: use "" or Memory')
        if kind not in _PLUGINS:
            why = f"{kind.replace('_', ' ')} is of a kind that this kubelet does not mount"
            offered = "emptyDir, hostPath, secret, configMap, downwardAPI, gitRepo, glusterfs, nfs or a claim"
            raise VolumeFailure(f'volume "{volume.name}": {why}: use {offered}')
        directory = self.pod_directory(pod.metadata.uid) / "volumes"
        return directory / f"kubernetes.io~{_PLUGINS[kind]}" / volume.name

    def _private(self, uid: str) -> Path:
        """The pod's directory, below one that nobody else on the machine may enter."""
        pods = self.root / "pods"
        pods.mkdir(mode=0o700, parents=True, exist_ok=True)
        pods.chmod(0o700)  # one of an older labkit was open
        directory = self.pod_directory(uid)
        directory.mkdir(exist_ok=True)
        return directory


def _is_volume(path: Path) -> bool:
    """Whether it is .../volumes/kubernetes.io~KIND/NAME."""
    return path.parent.name.startswith("kubernetes.io~") and path.parent.parent.name == "volumes"


def kind_of(volume: Volume) -> str:
    """The attribute that says where it comes from; empty_dir when none does."""
    return next((name for name in sources(VolumeSource) if getattr(volume, name) is not None), "empty_dir")


async def uninterrupted(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread, and waited for even when cancelled: what it does must not go on behind its caller's back."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
