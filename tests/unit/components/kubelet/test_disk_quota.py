"""Where the kernel bounds what a container writes, and what docker is asked for then."""

from typing import Any

import pytest
from docker.api.client import APIClient
from docker.errors import APIError

from labkit.components.kubelet import disk_quota
from labkit.components.kubelet.docker import Docker
from labkit.components.kubelet.runtime import ContainerConfig, Resources

XFS = {
    "Driver": "overlay2", "DockerRootDir": "/var/lib/docker", "CgroupDriver": "systemd",
    "DriverStatus": [["Backing Filesystem", "xfs"], ["Supports d_type", "true"]],
}  # fmt: skip
ROOT = "31 1 254:1 / / rw,relatime - ext4 /dev/vda rw,discard\n"
# as the kernel writes it for `mount -o pquota`
QUOTA = "36 31 254:2 / /var/lib/docker rw,relatime - xfs /dev/vdb rw,inode64,logbufs=8,logbsize=32k,prjquota\n"
NONE = QUOTA.replace("prjquota", "noquota")


@pytest.mark.parametrize(
    ("about", "mountinfo", "there"),
    [
        (XFS, ROOT + QUOTA, True),
        (XFS, ROOT + NONE, False),
        (XFS, ROOT + QUOTA + NONE, False),  # mounted over the other
        (XFS, ROOT + QUOTA.replace("/docker ", " "), True),  # the file system of the directory above
        (XFS, ROOT, False),
        (XFS | {"DriverStatus": [["Backing Filesystem", "extfs"]]}, ROOT + QUOTA, False),
        (XFS | {"Driver": "vfs", "DriverStatus": None}, ROOT + QUOTA, False),
    ],
)
def test_whether_it_is_there(about: dict[str, Any], mountinfo: str, there: bool) -> None:
    assert disk_quota.is_there(about, mountinfo) == there


def test_above_the_allowance_so_that_who_goes_over_it_is_seen() -> None:
    assert disk_quota.bound(100) == 110
    assert disk_quota.bound(0) == 0


class Api(APIClient):
    """Remembers what it is asked for; `refuses`: as a docker without quotas does."""

    def __init__(self, refuses: bool) -> None:
        super().__init__(base_url="http://127.0.0.1:1", version="1.41")
        self.asked: list[dict[str, Any]] = []
        self.refuses = refuses

    def create_container(self, **arguments: Any) -> dict[str, str]:  # type: ignore[override]
        self.asked.append(arguments["host_config"])
        if self.refuses and "StorageOpt" in arguments["host_config"]:
            raise APIError("500", explanation="--storage-opt is supported only for overlay over xfs with 'pquota'")
        return {"Id": "1"}


@pytest.mark.parametrize(
    ("disk", "refuses", "sizes"),
    [(1000, False, [{"size": "1100"}]), (1000, True, [{"size": "1100"}, None]), (0, False, [None])],
)
def test_what_docker_is_asked_for(disk: int, refuses: bool, sizes: list[dict[str, str] | None]) -> None:
    docker, api = Docker("http://127.0.0.1:1", "n"), Api(refuses)
    docker._info, docker._quota = XFS, True
    assert docker._create(api, ContainerConfig("c", "busybox", {}, resources=Resources(disk=disk))) == {"Id": "1"}
    assert [each.get("StorageOpt") for each in api.asked] == sizes
    assert docker._quota is not refuses
