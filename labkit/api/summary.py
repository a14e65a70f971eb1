"""A kubelet's GET /stats/summary: what its machine, its pods and their containers use. kube-apiserver reads it.

    {"node": {"nodeName": "agent1", "cpu": {"usageNanoCores": 52000000, ...}, "memory": {"workingSetBytes": ...}},
     "pods": [{"podRef": {"name": "web", "namespace": "default", "uid": "..."},
               "containers": [{"name": "c", "cpu": {...}, "memory": {...}}]}]}

A figure that is not known (yet) is absent: a rate needs two looks. Source: stats/v1alpha1 of the kubelet since
Kubernetes 1.2; windowSeconds is labkit's own.
"""

from labkit.api.types.part import Int64, Part, Time, shown


class Cpu(Part):
    """usage_nano_cores: a rate, 10^9 is one core; it is the average over the `window_seconds` before `time`.
    usage_core_nano_seconds: everything since the start."""

    time: Time = shown("")
    usage_nano_cores: Int64 | None = None
    usage_core_nano_seconds: Int64 | None = None
    window_seconds: float | None = None


class Memory(Part):
    """working_set_bytes: what could not be taken back when memory is short: all but the file pages long unused."""

    time: Time = shown("")
    available_bytes: Int64 | None = None
    usage_bytes: Int64 | None = None
    working_set_bytes: Int64 | None = None
    rss_bytes: Int64 | None = None
    page_faults: Int64 | None = None
    major_page_faults: Int64 | None = None


class FileSystem(Part):
    time: Time = shown("")
    available_bytes: Int64 | None = None
    capacity_bytes: Int64 | None = None
    used_bytes: Int64 | None = None
    inodes_free: Int64 | None = None
    inodes: Int64 | None = None


class ContainerStats(Part):
    name: str = shown("")
    start_time: Time = shown("")
    cpu: Cpu | None = None
    memory: Memory | None = None


class PodReference(Part):
    name: str = shown("")
    namespace: str = shown("")
    uid: str = shown("")


class PodStats(Part):
    """The sums count the pause container, which is not among the `containers`."""

    pod_ref: PodReference
    start_time: Time = shown("")
    containers: list[ContainerStats] = []
    cpu: Cpu | None = None
    memory: Memory | None = None


class NodeStats(Part):
    """fs: where the kubelet keeps volumes."""

    node_name: str = shown("")
    start_time: Time = shown("")
    cpu: Cpu | None = None
    memory: Memory | None = None
    fs: FileSystem | None = None


class Summary(Part):
    node: NodeStats
    pods: list[PodStats] = []
