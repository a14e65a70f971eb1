"""What a kubelet is told by its flags."""

from dataclasses import dataclass, field
from pathlib import Path

from labkit.components.kubelet.garbage import Keeping
from labkit.components.kubelet.runtime import Resolver


@dataclass(frozen=True)
class Settings:
    """node: the name of the Node object. address: the machine's, as the API server reaches it. Times in seconds."""

    node: str
    address: str = "127.0.0.1"
    port: int = 10250
    cluster_dns: str = "10.0.0.10"
    cluster_domain: str = "cluster.local"
    pause_image: str = "pause"
    registry_mirror: str = ""  # docker's, for public images; "none": no public registry is reached; "": not known
    root_dir: Path = Path("/var/lib/kubelet")
    labels: dict[str, str] = field(default_factory=dict)
    pod_cidr: str = ""  # the network of the pods, as docker's bridge has it; "": somebody else says it
    machine_resolver: Resolver = field(default_factory=lambda: Resolver(("127.0.0.1",)))
    allow_privileged: bool = False
    capabilities_missing: frozenset[int] = frozenset()  # what no process of this machine can have
    max_pods: int = 100
    pod_max_pids: int = 0  # of each container; 0 for no bound
    node_status_seconds: float = 10.0
    relist_seconds: float = 10.0
    housekeeping_seconds: float = 10.0
    sync_seconds: float = 45.0
    keeping: Keeping = field(default_factory=Keeping)
    low_disk_bytes: int = 256 << 20
    disk_allowance: int = 0  # bytes that a container, or an emptyDir, may take; 0 for no bound
    disk_seconds: float = 10.0
    manifests: Path | None = None  # a file or directory of static pods
    manifest_url: str = ""
    file_check_seconds: float = 20.0
    http_check_seconds: float = 20.0
