"""The modes in which the kernel carries: for each service port rules that lead a connection straight to an endpoint.

    Service or Endpoints changed --> ServedPort --rules--> contents before, contents now --> patch     only what changed
    every 5 s, if somebody else
    has written rules since      --> all ServedPorts ----> what the kernel has ------------> repair    all that differs

No connection passes this process, so none ends with it, and an endpoint sees the client's own address. What it costs:
a connection that meets a dead endpoint is not given to another one, and the turn is by chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

from labkit.api.services import cluster_ip
from labkit.api.types import Endpoints, Service, key
from labkit.components.kube_proxy import conntrack
from labkit.components.kube_proxy.generation import generation
from labkit.components.kube_proxy.handover import Handover
from labkit.components.kube_proxy.nat import RulesFailed
from labkit.components.kube_proxy.node_ports import NodePorts
from labkit.components.kube_proxy.rules import Contents, Rule, contents
from labkit.components.kube_proxy.served_ports import Claims, ServedPort, served_ports, without
from labkit.components.kube_proxy.service_addresses import ServiceAddresses, naming
from labkit.trace import Tracer, because

LINES_PER_SYNC = 50  # service ports told one by one; the others are counted
Tell = Callable[[Service, str, str], None]


class ModeUnsupported(Exception):
    """This machine's kernel cannot do the mode that was asked for; the message names the mend."""


class Firewall(Protocol):
    """Where the rules of a mode stand, and who makes them."""

    name: str
    containers: Sequence[str]  # those that are there without a service

    def frame(self) -> list[Rule]: ...
    def rules(self, port: ServedPort) -> Iterator[Rule]: ...
    async def check(self) -> None: ...
    async def repair(self, want: Contents) -> int: ...
    async def patch(self, old: Contents, new: Contents) -> int: ...
    async def remove(self) -> bool: ...


class Kernel:
    """The rules of one machine, kept in step with Services and Endpoints."""

    follows_endpoints = True

    def __init__(self, firewall: Firewall, bind_address: str, trace: Tracer, event: Tell, network: str = "") -> None:
        """network: the range of cluster IPs, "" when nobody says it."""
        self.firewall = firewall
        self.trace = trace
        self.event = event
        self._endpoints: dict[str, Endpoints] = {}
        self._changed: dict[str, str] = {}  # service key -> cause, since the last sync
        self._ports: dict[str, dict[str, ServedPort]] = {}  # by service: what the rules were made of
        self._node_ports = NodePorts(bind_address)
        self._claims = Claims()
        self._addresses = ServiceAddresses(network)
        self._troubles: dict[str, dict[str, str]] = {}  # by service port and reason; looked at again with each sync
        self._generation: int | None = None  # of the kernel's rules, when they were ours the last time
        self._standing = False

    async def prepare(self) -> None:
        """ModeUnsupported when this kernel cannot do it."""
        await self.firewall.check()
        Handover().close()  # local ports that systemd kept for a userspace mode before us

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        changed = new or old
        assert changed is not None
        self._changed.setdefault(key(changed), because("endpoints changed"))
        if new is None:
            self._endpoints.pop(key(changed), None)
        else:
            self._endpoints[key(changed)] = new

    async def sync(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None:
        """Make the rules what services and endpoints ask for. RulesFailed: try again, nothing is half done."""
        began = time.monotonic()
        changed, self._changed = self._changed | dict(causes), {}
        changed = dict.fromkeys(self._met(changed, services), because("an endpoint's address is a service's")) | changed
        names = sorted({*changed, *(_owner(name) for name in self._troubles)})
        before = {name: self._ports.get(name, {}) for name in names}
        after = self._served(names, services)
        self._ports |= after
        try:
            wrote = await self._write(before, after)
        except RulesFailed:
            self._changed = changed | self._changed
            self._standing = False
            raise
        if wrote:
            self._tell(before, after, changed, time.monotonic() - began)
        await self._forget_flows(before, after)
        self._ports = {name: ports for name, ports in self._ports.items() if ports}

    def _met(self, changed: Iterable[str], services: Mapping[str, Service]) -> set[str]:
        """Whose endpoints name an address that one of these services has got, or has given up."""
        moved = set[str]()
        for name in changed:
            moved |= self._addresses.put(name, cluster_ip(services.get(name)))
        return naming(moved, self._endpoints)

    def _served(self, names: Iterable[str], services: Mapping[str, Service]) -> dict[str, dict[str, ServedPort]]:
        """What each of these services asks for, as far as it can have it."""
        wanted = {}
        for name in names:
            self._claims.release(self._ports.get(name, {}).values())
            wanted[name] = served_ports(services.get(name), self._endpoints.get(name), self._addresses)
            for gone in {*self._ports.get(name, {}), *self._of(name)} - {*wanted[name]}:
                self._node_ports.release(gone)
                self._troubles.pop(gone, None)
        return {
            name: {port.name: port for each in ports.values() if (port := self._granted(each))}
            for name, ports in wanted.items()
        }

    def _of(self, name: str) -> list[str]:
        return [port for port in self._troubles if _owner(port) == name]

    def _granted(self, wanted: ServedPort) -> ServedPort | None:
        port, lost = self._claims.claim(wanted)
        taken = self._node_ports.claim(wanted.name, wanted.protocol.upper(), port.node_port if port else 0)
        self._say(wanted, {"AddressNotAvailable": lost, "NodePortNotAvailable": taken})
        return without(port, [""]) if port and taken else port

    async def _write(self, before: _Ports, after: _Ports) -> bool:
        """Whether anything had to be written."""
        if not self._standing:
            wrote = await self._repair()
            self._standing = True
            return wrote
        there = generation()
        with suppress(RulesFailed):  # a chain of ours is gone: put back below
            written = await self.firewall.patch(self._contents(before), self._contents(after))
            if there is not None and there == self._generation:
                self._remember(there, written)
                return bool(written)
        if wrote := await self._repair():  # somebody else has written rules, or there is no way to know
            self.trace.log("rules put back", level="warning", mode=self.firewall.name)
        return wrote

    async def _repair(self) -> bool:
        """Look at everything that is there of ours."""
        self._generation = None
        there = generation()
        written = await self.firewall.repair(self._everything())
        self._remember(there, written)
        return bool(written)

    def _remember(self, there: int | None, written: int) -> None:
        """The rules are ours as of now, if nobody has written between our transactions."""
        now = generation()
        self._generation = now if there is not None and now == there + written else None

    def _everything(self) -> Contents:
        return contents(chain(self.firewall.frame(), self._rules(self._ports)), self.firewall.containers)

    def _contents(self, ports: _Ports) -> Contents:
        return contents(self._rules(ports))

    def _rules(self, ports: _Ports) -> Iterator[Rule]:
        return (rule for group in ports.values() for port in group.values() for rule in self.firewall.rules(port))

    async def _forget_flows(self, before: _Ports, after: _Ports) -> None:
        if before == after:
            return
        wanted = conntrack.backends(port for group in after.values() for port in group.values())
        try:
            forgotten = await conntrack.clear(wanted)
        except conntrack.ConntrackFailed as exc:
            self.trace.log("stale UDP flows are not cleared", level="warning", error=str(exc))
            return
        if forgotten:
            self.trace.log("stale UDP flows cleared", flows=len(forgotten))

    def service(self, name: str) -> Service | None:
        """The service of a service port."""
        port = self._ports.get(_owner(name), {}).get(name)
        return port.service if port else None

    def close(self) -> None:
        """Let go of the node ports; the rules stay, and go on carrying."""
        self._node_ports.close()

    # -- what is said ----------------------------------------------------------------------------------------------

    def _tell(self, before: _Ports, after: _Ports, causes: Mapping[str, str], seconds: float) -> None:
        """One line for each service port whose rules changed, with all its rules, as far as a reader can follow."""
        count = 0
        for name in after:
            for port in {**before[name], **after[name]}:
                old, new = before[name].get(port), after[name].get(port)
                if old == new:
                    continue
                count += 1
                if count <= LINES_PER_SYNC:
                    self._tell_port(new or old, "rules written" if new else "rules removed", causes.get(name, ""))
        left_out = max(0, count - LINES_PER_SYNC)
        self.trace.log(
            "rules written", mode=self.firewall.name, service_ports=sum(len(group) for group in self._ports.values()),
            changed=count, lines_left_out=left_out, seconds=round(seconds, 4),
        )  # fmt: skip

    def _tell_port(self, port: ServedPort | None, decision: str, cause: str) -> None:
        assert port is not None
        rules = [str(rule) for rule in self.firewall.rules(port)]
        self.trace.decision(
            decision, port.service, cause=cause, function=self.firewall.rules, port=port.name, rules=rules,
            endpoints=[f"{each.ip}:{each.port}" for each in port.endpoints],
        )  # fmt: skip

    def _say(self, port: ServedPort, troubles: Mapping[str, str]) -> None:
        """A warning and an event, once for each trouble."""
        said = self._troubles.pop(port.name, {})
        for reason, trouble in troubles.items():
            if trouble and said.get(reason) != trouble:
                self.trace.log(trouble, level="warning", port=port.name)
                if port.service:
                    self.event(port.service, reason, trouble)
        if any(troubles.values()):
            self._troubles[port.name] = dict(troubles)


_Ports = Mapping[str, Mapping[str, ServedPort]]


def _owner(port: str) -> str:
    """default/web:http is a port of default/web."""
    return port.rpartition(":")[0]
