"""The kernel's memory of UDP flows: what it remembers about a service must not outlive the rule that made it so.

    udp 17 118 src=10.244.2.3 dst=10.0.0.16 sport=40001 dport=53  src=10.244.2.7 dst=10.244.2.3 sport=5353 dport=40001
               what the client sent: to the service               what is expected back: from the endpoint

UDP has no end: as long as a client keeps sending, the kernel leads the flow to where its first packet went, even when
that endpoint is gone, or when there was none at that time. (A TCP connection to a dead endpoint ends by itself.)
Source: cleanStaleConntrackEntries and CleanStaleEntries in pkg/proxy/conntrack of Kubernetes 1.32; conntrack(8).
"""

import re
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.command import run
from labkit.components.kube_proxy.served_ports import ServedPort


class Flow(NamedTuple):
    """A UDP flow: who asked, whom, and from where the answer is expected."""

    client: Address
    asked: Address
    answers: Address


def parse(listing: str) -> list[Flow]:
    """The flows of `conntrack -L -p udp`."""
    return [_flow(found) for line in listing.splitlines() if (found := _LINE.search(line))]


_LINE = re.compile(r"src=([\d.]+) dst=([\d.]+) sport=(\d+) dport=(\d+).*src=([\d.]+) dst=[\d.]+ sport=(\d+) dport=\d+")


def _flow(found: re.Match[str]) -> Flow:
    client, asked, sport, dport, answers, answer_port = found.groups()
    return Flow(Address(client, int(sport)), Address(asked, int(dport)), Address(answers, int(answer_port)))


def backends(ports: Iterable[ServedPort]) -> dict[Address, Set[Address]]:
    """Where each UDP service is reached, and who may answer; a node port has the address ""."""
    return {
        Address(ip, number): frozenset(port.endpoints)
        for port in ports
        if port.protocol == "udp"
        for ip, _, number in port.fronts
    }


def stale(flows: Iterable[Flow], wanted: Mapping[Address, Set[Address]]) -> list[Flow]:
    """The flows to a service that are led to none of its endpoints.

    A flow to a node port that was not translated at all is somebody else's, who has the same port on another machine.
    """
    found = []
    for flow in flows:
        translated = flow.answers != flow.asked
        node_port = Address("", flow.asked.port) if translated else None
        allowed = wanted.get(flow.asked, wanted.get(node_port) if node_port else None)
        if allowed is not None and flow.answers not in allowed:
            found.append(flow)
    return found


def deletions(flows: Iterable[Flow]) -> str:
    """What `conntrack -R -` must be told: a line for each."""
    return "".join(
        f"-D -p udp -s {flow.client.ip} -d {flow.asked.ip} --sport {flow.client.port} --dport {flow.asked.port}\n"
        for flow in flows
    )


class ConntrackFailed(Exception):
    """conntrack did not do it; the message is what it said."""


async def clear(wanted: Mapping[Address, Set[Address]]) -> list[Flow]:
    """Forget the stale flows of these services; two processes, however many flows there are."""
    if not wanted:
        return []
    forgotten = stale(parse(await run(ConntrackFailed, "conntrack", "-L", "-p", "udp", package="conntrack")), wanted)
    if forgotten:
        await run(ConntrackFailed, "conntrack", "-R", "-", text=deletions(forgotten), package="conntrack")
    return forgotten
