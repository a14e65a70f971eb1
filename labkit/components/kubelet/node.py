"""The Node object: the kubelet makes it, or adopts the one that is there, and says every 10 s that it is alive.

When it stops saying so, the node controller sets Ready to Unknown (after 40 s) and later has the pods replaced: a
heartbeat is a write even when nothing has changed. Source: Kubernetes 0.18, pkg/kubelet/kubelet.go.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from labkit import __version__
from labkit.api.errors import AlreadyExists, ApiError, NotFound
from labkit.api.types import (
    Condition,
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
    ObjectMeta,
    copy,
)
from labkit.client.backoff import delay
from labkit.client.events import EventRecorder
from labkit.client.rest import Client
from labkit.components.kubelet.machine import Machine, inspect
from labkit.components.kubelet.runtime import Runtime, RuntimeFailure
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.times import stamp
from labkit.trace import Tracer

VERSION = f"v1.0.7-labkit-{__version__}"
READY = "kubelet is posting ready status"
RUNTIME_DOWN = "container runtime is down"
RUNTIME_SECONDS = 5.0  # docker that takes longer to say its version counts as down


class NodeReporter:
    """Registers the node and keeps its status."""

    def __init__(
        self, client: Client, runtime: Runtime, settings: Settings, recorder: EventRecorder, trace: Tracer,
        out_of_disk: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._client = client
        self._runtime = runtime
        self._settings = settings
        self._recorder = recorder
        self._trace = trace
        self.machine = inspect()
        self._out_of_disk = out_of_disk
        self._ready = ""  # the Ready status that we last wrote
        self.trouble = ""  # for /healthz
        # events about the node carry its name as uid, so that they can be told before it is registered
        self.metadata = ObjectMeta(name=settings.node, uid=settings.node)

    async def run(self) -> None:
        """Heartbeats until cancelled; what cannot be written now is written with the next one, or sooner."""
        failures = 0
        while True:
            try:
                await self.beat()
                failures = 0
            except ApiError as exc:
                failures += 1
                self._trace.log("node status not written", level="warning", error=str(exc))
            wait = self._settings.node_status_seconds
            await asyncio.sleep(min(wait, delay(failures, first=0.5)) if failures else wait)

    async def beat(self) -> None:
        """Write the status once, registering the node first when it is not known."""
        version = await self._runtime_version()
        self.trouble = "" if version else RUNTIME_DOWN
        try:
            node = await self._client.get(Node, self._settings.node)
        except NotFound:
            node = await self._register()
        labels = node_labels(self._settings)
        cidr = node.spec.pod_cidr or self._settings.pod_cidr
        if labels.items() - node.metadata.labels.items() or cidr != node.spec.pod_cidr:
            changed = copy(node)
            changed.metadata.labels |= labels
            changed.spec.pod_cidr = cidr
            node = await self._client.update(changed)
            self._trace.decision(
                "labelled node", node, cause="its labels or network are not those of the flags", function=self.beat
            )
        changed = copy(node)
        changed.status = status_of_node(node.status, self._settings, self.machine, version, time.time())
        changed.status.conditions.insert(0, disk_condition(node.status.conditions, self._out_of_disk(), time.time()))
        await self._client.update_status(changed)
        self._tell(changed)

    async def _register(self) -> Node:
        node = Node(
            metadata=ObjectMeta(name=self._settings.node, labels=node_labels(self._settings)),
            spec=NodeSpec(external_id=self._settings.node, pod_cidr=self._settings.pod_cidr),
        )
        try:
            made = await self._client.create(node)
        except AlreadyExists:
            return await self._client.get(Node, self._settings.node)
        self._trace.decision("registered node", made, cause="the API server did not know it", function=self._register)
        return made

    async def _runtime_version(self) -> str:
        """ "" when the runtime does not answer."""
        try:
            async with asyncio.timeout(RUNTIME_SECONDS):
                return await self._runtime.version()
        except (RuntimeFailure, TimeoutError):
            return ""

    def _tell(self, node: Node) -> None:
        """An event and a line when the node became ready, or stopped being it."""
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        if ready.status != self._ready:
            self._ready = ready.status
            event = "NodeReady" if ready.status == "True" else "NodeNotReady"
            name = self._settings.node
            self._recorder.event(Node(metadata=self.metadata), event, f"Node {name} status is now: {event}")
            self._trace.decision(event, node, cause=ready.reason, function=status_of_node)


def node_labels(settings: Settings) -> dict[str, str]:
    return {"kubernetes.io/hostname": settings.node} | settings.labels


def status_of_node(before: NodeStatus, settings: Settings, machine: Machine, version: str, now: float) -> NodeStatus:
    """The node's status; `version` is the container runtime's, "" when it is down. Other's conditions are kept."""
    capacity: dict[str, str | int | float] = {
        "cpu": f"{machine.cpu // 1000}" if machine.cpu % 1000 == 0 else f"{machine.cpu}m",
        "memory": f"{machine.memory // 1024}Ki",
        "pods": str(settings.max_pods),
    }
    others = [condition for condition in before.conditions if condition.type not in ("Ready", "OutOfDisk")]
    return NodeStatus(
        capacity=capacity,
        allocatable=capacity,  # nothing is kept back for the machine itself
        phase=before.phase,
        conditions=[*others, ready_condition(before.conditions, bool(version), now)],
        addresses=[
            NodeAddress(type="LegacyHostIP", address=settings.address),
            NodeAddress(type="InternalIP", address=settings.address),
            NodeAddress(type="Hostname", address=settings.node),
        ],
        daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=settings.port)),
        node_info=NodeSystemInfo(
            machine_id=machine.machine_id,
            system_uuid=machine.system_uuid,
            boot_id=machine.boot_id,
            kernel_version=machine.kernel,
            os_image=machine.os_image,
            container_runtime_version=version
            or (before.node_info.container_runtime_version if before.node_info else ""),
            kubelet_version=VERSION,
            kube_proxy_version=VERSION,
            operating_system="linux",
            architecture=machine.architecture,
        ),
    )


def ready_condition(before: Sequence[Condition], runtime_up: bool, now: float) -> Condition:
    """Ready, with the original's reasons."""
    return _condition(before, "Ready", runtime_up, READY if runtime_up else RUNTIME_DOWN, "", now)


def disk_condition(before: Sequence[Condition], full: bool, now: float) -> Condition:
    """OutOfDisk: while it is True the scheduler sends nothing here. Source: Kubernetes 1.1."""
    reason = "KubeletOutOfDisk" if full else "KubeletHasSufficientDisk"
    message = "out of disk space" if full else "kubelet has sufficient disk space available"
    return _condition(before, "OutOfDisk", full, reason, message, now)


def _condition(before: Sequence[Condition], kind: str, true: bool, reason: str, message: str, now: float) -> Condition:
    status = "True" if true else "False"
    known = next((condition for condition in before if condition.type == kind), None)
    since = known.last_transition_time if known is not None and known.status == status else None
    return Condition(
        type=kind,
        status=status,
        last_heartbeat_time=stamp(now),
        last_transition_time=since or stamp(now),
        reason=reason,
        message=message,
    )
