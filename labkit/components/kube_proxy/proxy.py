"""kube-proxy makes every Service reachable at its cluster IP, from pods and from the machine itself.

    pod or process --connect 10.0.0.11:6379--> iptables (nat) --> local port --> kube-proxy --> 10.244.2.7:6379
                                               KUBE-PORTALS-*      one for each                  one of the Endpoints,
                                               KUBE-NODEPORT-*     service port                  in turn

That is the userspace mode, the original's; modes.py names two that came later, in which the kernel does it alone. It
watches Services (what to open, which rules) and Endpoints (where connections go). Each change is acted on at once;
every 5 seconds it looks whether its rules are still there and puts back what somebody flushed.

Left behind on purpose: SIGTERM leaves the rules, so that a restart finds them and takes the same local ports; meanwhile
systemd holds these open, and new connections wait (handover.py). `--cleanup` takes everything away.

Source: cmd/kube-proxy and pkg/proxy of Kubernetes 0.18.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Protocol

from labkit.api.types import Endpoints, Service, key
from labkit.client.events import EventRecorder
from labkit.client.informer import Informer
from labkit.client.rest import Client
from labkit.components.kube_proxy.balancer import Balancer
from labkit.components.kube_proxy.conntrack import ConntrackFailed
from labkit.components.kube_proxy.kernel import Kernel
from labkit.components.kube_proxy.modes import FIREWALLS, take_over
from labkit.components.kube_proxy.nat import Iptables, RulesFailed
from labkit.components.kube_proxy.relay import Relay, raise_descriptor_limit
from labkit.components.kube_proxy.unusable import Unusable
from labkit.components.kube_proxy.userspace import Machine, Userspace
from labkit.trace import Tracer, because

RESYNC_SECONDS = 5.0
RETRY_SECONDS = 1.0
CONNECTION_LINES_PER_SECOND = 10  # of those about single connections


class Mode(Protocol):
    """A way of leading connections to endpoints. follows_endpoints: its rules name them, so they change with them."""

    follows_endpoints: bool

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None: ...
    async def sync(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None: ...
    def service(self, name: str) -> Service | None: ...
    def close(self) -> None: ...


class Proxy:
    """Watches, and brings the machine in step: `run()` works until it is cancelled."""

    def __init__(
        self,
        client: Client,
        machine: Machine,
        *,
        hostname: str = "",
        trace: Tracer | None = None,
        iptables: Iptables | None = None,
        mode: str = "userspace",
        balancer: Balancer | None = None,
        network: str = "",
    ) -> None:
        """network: the range of cluster IPs, "" when nobody says it."""
        self.trace = trace or Tracer("kube-proxy")
        self.services = Informer(client, Service, trace=self.trace)
        self.endpoints = Informer(client, Endpoints, trace=self.trace)
        self.events = EventRecorder(client, "kube-proxy", hostname, trace=self.trace)
        self.relay: Relay | None = None
        self.threads: Executor | None = None  # where the relay's thread comes from; None: the event loop's own
        self.mode_name = mode
        self.mode = (
            self._userspace(machine, iptables, balancer, network)
            if mode == "userspace"
            else self._kernel(machine, network)
        )
        self.trouble = "waiting for the API server"
        self._taken_over = False
        self._changed = asyncio.Event()
        self._causes: dict[str, str] = {}
        self._unusable = Unusable(self.trace, self.events.event, network)
        self.services.on_change(self._unusable.service_changed)
        self.endpoints.on_change(self._unusable.endpoints_changed)
        self.services.on_change(self._service_changed)
        self.endpoints.on_change(self._endpoints_changed)

    def _userspace(self, machine: Machine, iptables: Iptables | None, balancer: Balancer | None, network: str) -> Mode:
        tell = ConnectionLines(self._tell_connection)
        self.relay = Relay(balancer or Balancer(), tell, self._warn, raise_descriptor_limit())
        return Userspace(self.relay, iptables or Iptables(), machine, self.trace, self.events.event, network)

    def _kernel(self, machine: Machine, network: str) -> Mode:
        return Kernel(FIREWALLS[self.mode_name](), machine.bind_address, self.trace, self.events.event, network)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Follow Services and Endpoints; `ready()` is called when the first rules stand."""
        if isinstance(self.mode, Kernel):
            await self.mode.prepare()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.services.run(), name="services")
                group.create_task(self.endpoints.run(), name="endpoints")
                group.create_task(self.events.run(), name="events")
                group.create_task(self._follow(ready), name="sync")
                if self.relay:
                    await self._carry(self.relay)
        finally:
            self.mode.close()

    async def _carry(self, relay: Relay) -> None:
        """The userspace mode's thread, for as long as the rest runs."""
        carrying = asyncio.get_running_loop().run_in_executor(self.threads, relay.run)
        try:
            await asyncio.shield(carrying)
        finally:
            relay.stop()
            await carrying
            relay.close()

    async def _follow(self, ready: Callable[[], None]) -> None:
        await self.services.synced()
        await self.endpoints.synced()
        told = False
        while True:
            await self._sync()
            if not (told or self.trouble):
                ready()
                told = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), RETRY_SECONDS if self.trouble else RESYNC_SECONDS)

    async def _sync(self) -> None:
        self._changed.clear()
        causes, self._causes = self._causes, {}
        self._unusable.tell(self.services.store, self.endpoints.store)
        try:
            await self.mode.sync(self.services.store, causes)
            await self._take_over()
        except (RulesFailed, ConntrackFailed) as exc:
            if self.trouble != str(exc):
                self.trace.log("cannot write the rules, trying again", level="error", error=str(exc))
            self.trouble = str(exc)
            self._causes = causes | self._causes
        else:
            self.trouble = ""

    async def _take_over(self) -> None:
        """Once the first rules stand: nothing of another mode, or of one that crashed, may stay."""
        if not self._taken_over:
            for mode in await take_over(self.mode_name, self.services.store.values()):
                self.trace.log("rules of another mode removed", mode=mode)
            self._taken_over = True

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        what = "added" if old is None else "deleted" if new is None else "updated"
        changed = new or old
        assert changed is not None
        self._causes[key(changed)] = because(f"service {what}")
        self._changed.set()

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        self.mode.endpoints_changed(old, new)
        if self.mode.follows_endpoints:
            self._changed.set()

    def _warn(self, text: str, **fields: Any) -> None:
        self.trace.log(text, level="warning", **fields)

    def _tell_connection(self, decision: str, name: str, **fields: Any) -> None:
        service = self.mode.service(name)
        if endpoint := fields.get("endpoint"):
            fields["endpoint"] = "{}:{}".format(*endpoint)
        self.trace.decision(decision, service, cause="connection", function=Balancer.next, port=name, **fields)


class ConnectionLines:
    """Lets a learner see each connection in the log, and a load test not drown in lines: so many a second."""

    def __init__(self, tell: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._second = 0
        self._lines = 0

    def __call__(self, decision: str, name: str, **fields: Any) -> None:
        second = int(self._clock())
        if second != self._second:
            unsaid = max(0, self._lines - CONNECTION_LINES_PER_SECOND)
            self._second, self._lines = second, 0
            if unsaid:
                fields["lines_left_out"] = unsaid
        self._lines += 1
        if self._lines <= CONNECTION_LINES_PER_SECOND:
            self._tell(decision, name, **fields)
