"""What the parts of a kubelet have in common: the runtime, the API server's side of it, and how decisions are told."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.api.types import Pod, Service
from labkit.client.events import EventRecorder
from labkit.components.kubelet.claims import Claims
from labkit.components.kubelet.host_ports import Tenant
from labkit.components.kubelet.images import Images
from labkit.components.kubelet.plan import plan
from labkit.components.kubelet.report import Reports
from labkit.components.kubelet.runtime import PAUSE, Runtime
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.sources import Sources
from labkit.components.kubelet.volumes import Volumes
from labkit.trace import Tracer


@dataclass(frozen=True)
class Shared:
    """services: all that exist now. spawn: makes a task that ends with the kubelet. tenants: the pods of this node that
    are not over, but the one with that uid."""

    settings: Settings
    runtime: Runtime
    images: Images
    volumes: Volumes
    sources: Sources
    claims: Claims
    reports: Reports
    recorder: EventRecorder
    services: Callable[[], Sequence[Service]]
    spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
    trace: Tracer
    out_of_disk: Callable[[], bool] = lambda: False
    tenants: Callable[[str], Sequence[Tenant]] = lambda but: ()

    def event(self, pod: Pod, reason: str, message: str, container: str = "") -> None:
        """An event about a pod, or about one of its containers."""
        paths = {"": "", PAUSE: f"implicitly required container {PAUSE}"}
        path = paths.get(container, f"spec.containers{{{container}}}")
        self.recorder.event(pod, reason, message, field_path=path)

    def decided(self, decision: str, pod: Pod, cause: str, **fields: object) -> None:
        """A line for what plan() decided about a pod."""
        self.trace.decision(decision, pod, cause=cause, function=plan, **fields)
