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
from collections.abc import Iterable, Mapping
from contextlib import suppress

from labkit.api.types import Endpoints, Service, ServicePort, key
from labkit.components.kube_proxy import nat, tcp, udp
from labkit.components.kube_proxy.balancer import addresses, port_name
from labkit.components.kube_proxy.iptables import CHAINS, Portal, Rule, render
from labkit.components.kube_proxy.relay import Relay
from labkit.trace import Tracer


class Userspace:
    """Local ports, rules and balancer of one machine, kept in step with Services and Endpoints."""

    def __init__(self, relay: Relay, iptables: nat.Iptables, trace: Tracer, bind_address: str, node_ip: str) -> None:
        self.relay = relay
        self.iptables = iptables
        self.trace = trace
        self.bind_address = bind_address
        self.node_ip = node_ip
        self._portals: dict[str, Portal] = {}  # by name: what is open now
        self._node_ports = NodePorts(bind_address)
        self._rules: dict[str, Rule] = {}  # by text: what was wanted last time
        self._troubles: dict[str, str] = {}  # by service port: what was said about it already

    # -- endpoints -------------------------------------------------------------------------------------------------

    def endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        before = addresses(old) if old else {}
        after = addresses(new) if new else {}
        for name in [*after, *(name for name in before if name not in after)]:
            group = after.get(name, [])
            if group != before.get(name, []):
                self.relay.call(self.relay.balancer.set_endpoints, name, group)
                self.trace.decision(
                    "endpoints", new or old, cause="endpoints changed", function=addresses,
                    port=name, endpoints=[f"{each.ip}:{each.port}" for each in group],
                )  # fmt: skip

    # -- services --------------------------------------------------------------------------------------------------

    async def sync(self, services: Mapping[str, Service], causes: Mapping[str, str]) -> None:
        """Make ports and rules what the services ask for. IptablesFailed: nothing was changed in the table.

        causes: service key -> what happened to it; a rule that changes without one had been flushed by somebody.
        """
        have = await self.iptables.save()
        wanted = service_ports(services.values())
        self._open(wanted, nat.local_ports(have))
        gone = {name: portal for name, portal in self._portals.items() if name not in wanted}
        portals = [self._portals[name] for name in wanted if name in self._portals]
        rules = {str(rule): rule for rule in render(portals, self.bind_address, self.node_ip)}
        if text := nat.difference(have, rules.values()):
            await self.iptables.restore(text)
        self._tell(rules, have, causes)
        for name in gone:
            self._close(name)

    def _open(self, wanted: Mapping[str, tuple[Service, ServicePort]], used_before: Mapping[str, int]) -> None:
        for name, (service, port) in wanted.items():
            portal = self._portals.get(name)
            if portal is not None and portal.port.protocol != port.protocol:
                self._close(name)
                portal = None
            if portal is None and (local_port := self._listen(name, port, used_before.get(name, 0))):
                portal = Portal(service, port, local_port)
            if portal is not None:
                node_port = port.node_port or 0
                refused = self._node_ports.claim(name, port.protocol, node_port)
                self._say(name, "node port", refused)
                self._portals[name] = Portal(service, port, portal.local_port, 0 if refused else node_port)
                self.relay.call(self.relay.balancer.set_affinity, name, service.spec.session_affinity == "ClientIP")

    def _listen(self, name: str, port: ServicePort, used_before: int) -> int:
        """Open a local port, the one used before if it is free; 0 when there is none to be had."""
        try:
            sock = self._bind(port.protocol, used_before)
        except OSError as exc:
            self._say(name, "local port", f"cannot open a local port: {exc.strerror}; see the limit of open files")
            return 0
        self._say(name, "local port", "")
        kind = udp.UdpListener if port.protocol == "UDP" else tcp.Listener
        self.relay.call(self.relay.add, name, kind(self.relay, name, sock))
        return int(sock.getsockname()[1])

    def _bind(self, protocol: str, used_before: int) -> socket.socket:
        bind = udp.bind if protocol == "UDP" else tcp.listen
        if used_before:
            with suppress(OSError):
                return bind(self.bind_address, used_before)
        return bind(self.bind_address, 0)

    def _close(self, name: str) -> None:
        del self._portals[name]
        self._node_ports.claim(name, "", 0)
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

    def _tell(self, rules: dict[str, Rule], have: nat.Chains, causes: Mapping[str, str]) -> None:
        """One line for each rule that came, with the function that made it, and for each that went."""
        there = {f"-A {chain} {spec}" for chain in CHAINS for spec in have.get(chain, [])}
        for text, rule in rules.items():
            if text not in there:
                self._tell_rule("rule added", rule, _cause(rule, causes, "the rule was not there any more"))
            elif text not in self._rules:
                self._tell_rule("rule kept", rule, "it was there when kube-proxy started")
        for text, rule in self._rules.items():
            if text not in rules:
                self._tell_rule("rule removed", rule, _cause(rule, causes, "no longer wanted"))
        self._rules = rules

    def _tell_rule(self, decision: str, rule: Rule, cause: str) -> None:
        self.trace.decision(decision, rule.service, cause=cause, function=rule.made_by, table="nat", rule=str(rule))

    def _say(self, name: str, about: str, trouble: str) -> None:
        """A warning, once for each trouble."""
        if trouble and self._troubles.get(f"{about} {name}") != trouble:
            self.trace.log(trouble, level="warning", port=name)
        self._troubles[f"{about} {name}"] = trouble


class NodePorts:
    """The node ports in use, each held by a bound socket: nobody else on the machine can take it meanwhile."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._held: dict[tuple[str, int], tuple[str, socket.socket]] = {}

    def claim(self, name: str, protocol: str, node_port: int) -> str:
        """Make this the one node port of a service port (0: none). "" or why it cannot have it."""
        wanted = (protocol, node_port)
        for held, (owner, sock) in list(self._held.items()):
            if owner == name and held != wanted:
                sock.close()
                del self._held[held]
        if not node_port:
            return ""
        if wanted in self._held:
            owner = self._held[wanted][0]
            return "" if owner == name else f"node port {node_port} is taken by {owner}"
        return self._hold(name, wanted)

    def close(self) -> None:
        for _, sock in self._held.values():
            sock.close()
        self._held.clear()

    def _hold(self, name: str, wanted: tuple[str, int]) -> str:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if wanted[0] == "UDP" else socket.SOCK_STREAM)
        try:
            sock.bind((self._address, wanted[1]))
        except OSError as exc:
            sock.close()
            who = "a process of this machine" if exc.errno == errno.EADDRINUSE else exc.strerror
            return f"node port {wanted[1]} cannot be used, {who} has it; stop that or choose another nodePort"
        self._held[wanted] = name, sock
        return ""


def service_ports(services: Iterable[Service]) -> dict[str, tuple[Service, ServicePort]]:
    """Every service port with an address to be reached at (headless ones have none), by name, in the order of keys."""
    return {
        port_name(service, port): (service, port)
        for service in sorted(services, key=key)
        if service.spec.cluster_ip not in ("", "None")
        for port in service.spec.ports
        if port.port
    }


def _cause(rule: Rule, causes: Mapping[str, str], otherwise: str) -> str:
    return causes.get(key(rule.service), otherwise) if rule.service else otherwise
