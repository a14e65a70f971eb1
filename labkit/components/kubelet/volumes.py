"""Volumes: directories that outlive the containers of a pod, and end with the pod.

/var/lib/kubelet/pods/UID/volumes/kubernetes.io~empty-dir/NAME     emptyDir: made with the pod, removed with it
anything on the machine                                           hostPath: there before and after
/var/lib/kubelet/pods/UID/containers/NAME/...                     what a container says when it ends
"""

import os
import secrets
import shutil
from pathlib import Path

from labkit.api.types import Pod, Volume


class VolumeFailure(Exception):
    """A volume cannot be had; the message names it and what to do."""


class Volumes:
    """The pod directories under one root, /var/lib/kubelet on a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pod_directory(self, uid: str) -> Path:
        return self.root / "pods" / uid

    def set_up(self, pod: Pod) -> dict[str, str]:
        """Make every volume of a pod; where each is on this machine, by its name."""
        return {volume.name: str(self._set_up(pod, volume)) for volume in pod.spec.volumes}

    def _set_up(self, pod: Pod, volume: Volume) -> Path:
        if volume.host_path is not None:
            return Path(volume.host_path.path)
        if volume.empty_dir is not None:
            if volume.empty_dir.medium not in ("", "Default"):
                raise VolumeFailure(f'volume "{volume.name}": emptyDir medium {volume.empty_dir.medium} is not offered')
            path = self.pod_directory(pod.metadata.uid) / "volumes" / "kubernetes.io~empty-dir" / volume.name
            return _make(path)
        raise VolumeFailure(
            f'volume "{volume.name}" is of a kind that this kubelet does not mount; use emptyDir or hostPath'
        )

    def termination_log(self, uid: str, container: str) -> Path:
        """A new empty file for the last words of a container, to be mounted into it."""
        directory = self.pod_directory(uid) / "containers" / container
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / secrets.token_hex(8)
        path.touch()
        path.chmod(0o666)  # the container may run as any user
        return path

    def tear_down(self, uid: str) -> None:
        """Remove all that a pod left; what something is still mounted on stays (its content is not ours)."""
        directory = self.pod_directory(uid)
        if not directory.is_dir():
            return
        if mounted := [place for place, _, _ in os.walk(directory) if os.path.ismount(place)]:
            raise VolumeFailure(f"still mounted: {', '.join(mounted)}")
        try:
            shutil.rmtree(directory)
        except OSError as exc:
            raise VolumeFailure(f"cannot remove {directory}: {exc}") from exc

    def pods(self) -> set[str]:
        """The uids of the pods that have a directory here."""
        return {path.name for path in (self.root / "pods").glob("*") if path.is_dir()}


def _make(path: Path) -> Path:
    """A directory that every container of the pod may write, whatever its user."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    return path
