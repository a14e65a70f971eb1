"""The userspace mode: iptables only leads a connection to this process, which carries it to an endpoint itself.

    sync, with every Service:   open a local port for each service port that has none    (sockets first,
                                write the rules that lead there                           then the rules,
                                close the local ports that no rule leads to any more      and the other way to go)
    endpoints_changed:          tell the balancer; no rule changes

Costs two copies and two more wake-ups per message, and the endpoint sees this machine's address instead of the
client's. What it buys: a connection that meets a dead endpoint is given to another one.
"""

import errno
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Service, ServicePort, key
from labkit.components.kube_proxy import nat, tcp, udp
from labkit.components.kube_proxy.balancer import Address, addresses, port_name
from labkit.components.kube_proxy.handover import Handover
from labkit.components.kube_proxy.iptables import FIRST, LAST, Portal, Rule, portal_ips, render
from labkit.components.kube_proxy.local_ports import candidates
from labkit.components.kube_proxy.node_ports import NodePorts
from labkit.components.kube_proxy.relay import Relay
from labkit.components.kube_proxy.rule_news import RuleNews
from labkit.components.kube_proxy.service_addresses import ServiceAddresses
from labkit.trace import Tracer

LOOK_SECONDS = 5.0

Tell = Callable[[Service, str, str], None]  # tell(service, reason, message): an event


class Machine(NamedTuple):
    """Where this proxy works. bind_address: where the local ports listen. node_ip: an address that is always there."""

    bind_address: str
    node_ip: str


class Userspace:
    """Local ports, rules and balancer of one machine, kept in step with Services and Endpoints."""

    follows_endpoints = False

    def __init__(
        self, relay: Relay, iptables: nat.Iptables, machine: Machine, trace: Tracer, event: Tell, network: str = ""
    ) -> None:
        """network: the range of cluster IPs, "" when nobody says it."""
        self.relay = relay
        self.iptables = iptables
        self.machine = machine
        self.trace = trace
        self.event = event
        self._portals: dict[str, Portal] = {}  # by name: what is open now
        self._node_ports = NodePorts(machine.bind_address)
        self._handover = Handover()
        self._news = RuleNews(trace)
        self._addresses = ServiceAddresses(network)
        relay.refuses = self._addresses.leads_back
        self._next_look = 0.0  # when the whole table is compared again; 0: at once, nothing is known of it
        self._troubles: dict[str, str] = {}  # by service port: what was said about it already

    # -- endpoints -------------------------------------------------------------------------------------------------

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        before = addresses(old) if old else {}
        after = addresses(new) if new else {}
        for name in [*after, *(name for name in before if name not in after)]:
            group = after.get(name, [])
            if group != before.get(name, []):
                self.relay.call(self.relay.set_endpoints, name, group)
                self.trace.decision(
                    "endpoints", new or old, cause="endpoints changed", function=addresses,
                    port=name, endpoints=[f"{each.ip}:{each.port}" for each in group],
                )  # fmt: skip

    # -- services --------------------------------------------------------------------------------------------------

    async def sync(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None:
        """Make ports and rules what the services ask for. IptablesFailed: nothing was changed in the table.

        causes: service key -> what happened to it; a rule that changes without one had been flushed by somebody. With
        causes only those services are looked at, so that one change among 10,000 is not 10,000 comparisons; the whole
        table is read at first, every LOOK_SECONDS, and when what should have been there was not.
        """
        if causes and self._next_look:
            try:
                await self._sync_changed(services, causes)
            except nat.IptablesFailed:  # somebody flushed a rule that was to be deleted
                self._next_look = 0.0
            else:
                causes = {}
                if time.monotonic() < self._next_look:
                    return
        self._next_look = 0.0
        await self._sync_all(services, causes)
        self._next_look = time.monotonic() + LOOK_SECONDS

    async def _sync_all(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None:
        """Compare all that is wanted with all that is there."""
        began = time.monotonic()
        have = await self.iptables.save()
        wanted = service_ports(services.values())
        used_before = nat.local_ports(have)
        for name, (service, port) in wanted.items():
            self._open(name, service, port, used_before.get(name, 0))
        if causes:
            self._avoid({*services, *causes}, services)
        rules = self._render(name for name in wanted if name in self._portals)
        if text := nat.difference(have, rules):
            await self._write(text, len(wanted), began)
        self._news.all([*FIRST, *LAST, *rules], have, causes)
        for name in [name for name in self._portals if name not in wanted]:
            self._close(name)
        self._handover.close()

    async def _sync_changed(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None:
        """Exchange the rules of some services, with no look at the others. IptablesFailed: one was not there."""
        began = time.monotonic()
        before = [name for name in self._portals if name.rpartition(":")[0] in causes]
        old = self._render(before)
        wanted = service_ports(services[name] for name in causes if name in services)
        for name, (service, port) in wanted.items():
            self._open(name, service, port, 0)
        self._avoid(causes, services)
        new = self._render(name for name in wanted if name in self._portals)
        for text in nat.exchange(old, new):
            await self._write(text, len(wanted), began)
        self._news.some(old, new, causes)
        for name in before:
            if name not in wanted:
                self._close(name)

    def _render(self, names: Iterable[str]) -> list[Rule]:
        portals = [self._portals[name] for name in names]
        return render(portals, self.machine.bind_address, self.machine.node_ip)

    async def _write(self, text: str, ports: int, began: float) -> None:
        await self.iptables.restore(text)
        seconds = round(time.monotonic() - began, 4)
        self.trace.log("rules written", service_ports=ports, changes=text.count("\n") - 2, seconds=seconds)

    def _avoid(self, changed: Iterable[str], services: Mapping[str, Service]) -> None:
        """Have the relay know the addresses of services, to which it must not connect."""
        for name in changed:
            service = services.get(name)
            ports = [port.port or 0 for port in service.spec.ports] if service else []
            external = portal_ips(service)[1:] if service else []
            fronts = [Address(ip, port) for ip in external for port in ports]
            self._addresses.put(name, cluster_ip(service), fronts)

    def _open(self, name: str, service: Service, port: ServicePort, used_before: int) -> None:
        """Have a local port, and the node port that is asked for, for a service port."""
        portal = self._portals.get(name)
        if portal is not None and portal.service is service:
            if portal.node_port == (port.node_port or 0):
                return
        elif portal is not None and portal.port.protocol != port.protocol:
            self._close(name)
            portal = None
        try:
            local_port = portal.local_port if portal else self._listen(name, port, used_before)
        except OSError as exc:
            self._say(name, service, "LocalPortNotAvailable", f"no local port can be opened: {exc.strerror}")
            return
        node_port = port.node_port or 0
        refused = self._node_ports.claim(name, port.protocol, node_port)
        self._say(name, service, "NodePortNotAvailable", refused)
        self._portals[name] = Portal(service, port, local_port, 0 if refused else node_port)
        self.relay.call(self.relay.balancer.set_affinity, name, service.spec.session_affinity == "ClientIP")

    def _listen(self, name: str, port: ServicePort, used_before: int) -> int:
        """Open a local port, the one used before if it is free; OSError when there is none to be had."""
        if len(self._portals) + len(self._node_ports) >= self.relay.port_limit:
            raise OSError(errno.EMFILE, f"{self.relay.port_limit} are open, as many as the limit of open files allows")
        sock = self._bound(port.protocol, used_before)
        kind = udp.UdpListener if port.protocol == "UDP" else tcp.Listener
        self.relay.call(self.relay.add, name, kind(self.relay, name, sock))
        return int(sock.getsockname()[1])

    def _bound(self, protocol: str, used_before: int) -> socket.socket:
        address = self.machine.bind_address
        if sock := self._handover.take(protocol, address, used_before):
            return sock
        bind = udp.bind if protocol == "UDP" else tcp.listen
        for wanted in candidates(used_before):
            try:
                sock = bind(address, wanted)
            except OSError:
                if not wanted:
                    raise
            else:
                self._handover.keep(protocol, sock)
                return sock
        raise AssertionError("the last candidate is 0")

    def _close(self, name: str) -> None:
        portal = self._portals.pop(name)
        self._handover.forget(portal.port.protocol, portal.local_port)
        self._troubles.pop(name, None)
        self._node_ports.release(name)
        self.relay.call(self.relay.remove, name)
        self.relay.call(self.relay.balancer.set_affinity, name, False)

    def close(self) -> None:
        """Let go of the node ports; the relay closes the local ports. The rules stay."""
        self._node_ports.close()

    # -- what is said ----------------------------------------------------------------------------------------------

    def service(self, name: str) -> Service | None:
        """The service of a service port that is open."""
        portal = self._portals.get(name)
        return portal.service if portal else None

    def _say(self, name: str, service: Service, reason: str, trouble: str) -> None:
        """A warning and an event, once for each trouble."""
        if trouble and self._troubles.get(name) != trouble:
            self.trace.log(trouble, level="warning", port=name)
            self.event(service, reason, trouble)
        self._troubles[name] = trouble


def service_ports(services: Iterable[Service]) -> dict[str, tuple[Service, ServicePort]]:
    """Every service port with an address to be reached at (headless ones have none), by name, in the order of keys."""
    return {
        port_name(service, port): (service, port)
        for service in sorted(services, key=key)
        if cluster_ip(service)
        for port in service.spec.ports
        if port.port
    }
