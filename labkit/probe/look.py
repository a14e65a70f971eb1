"""One request, looked at from all sides: from a Request to a Report."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from labkit.probe import conntrack, makers, rules, sockets
from labkit.probe.netns import NoSuchPod
from labkit.probe.nfttrace import TraceFailed, tracing
from labkit.probe.report import Attempt, Flow, Proxy, Report, Request, Route, Socket
from labkit.probe.sending import TICK_SECONDS, Client, Sender, Watched
from labkit.probe.trace_lines import Traced

ROUTES = 16  # to so many endpoints the route is told


def look(request: Request) -> Report:
    """Send, or watch, one request. What cannot be done at all is the report's `trouble`."""
    try:
        client = Watched(request) if request.client else Sender(request)
    except (NoSuchPod, OSError) as exc:
        return Report(trouble=str(exc))
    try:
        return _look(request, client)
    except TraceFailed as exc:
        return Report(trouble=str(exc))
    finally:
        client.close()


def _look(request: Request, client: Sender | Watched) -> Report:
    proxy = sockets.kube_proxy()
    if proxy:
        proxy.chooser = makers.chooser(proxy.mode)
    watcher = Watcher(request, proxy)
    ip = request.target.partition(":")[0]
    with tracing(request.protocol, _match(request, client), request.backends) as trace:
        if isinstance(client, Watched):
            client.arrived = lambda: next((each.packet for each in trace.packets() if _is_client(each)), None)
        client.begin()
        waiting = threading.Thread(target=_wait, args=(client, watcher))  # so that the answer is timed when it comes
        waiting.start()
        while waiting.is_alive():
            watcher.sample(client)
            waiting.join(TICK_SECONDS)
        watcher.sample(client)
        packets = trace.packets()
        first = next((each for each in packets if _is_client(each)), None)
        looks = rules.looks(first.steps, first.packet, request.protocol) if first else []
    time.sleep(request.hold)
    return Report(
        ending=client.ending, answer=client.answer, milliseconds=client.milliseconds, client=client.client,
        looks=looks, flow=watcher.flow, proxy=proxy, listening=watcher.listening, accepted=watcher.accepted,
        outgoing=watcher.outgoing, attempts=attempts(packets, watcher.flow), routes=routes(request.backends),
        way=route(ip) if isinstance(client, Sender) and client.own else None,
        service_rules=rules.naming(request.service, f"{ip}/32", f" {ip} . "),
    )  # fmt: skip


def _match(request: Request, client: Sender | Watched) -> str:
    """The client's packets, as an nft expression."""
    protocol = request.protocol
    ip, _, port = request.target.partition(":")
    source = f"{protocol} sport {client.port}" if client.port else f"ip saddr {client.client.partition(':')[0]}"
    return f"ip daddr {ip} {source} {protocol} dport {port}"


def _is_client(packet: Traced) -> bool:
    return packet.role.startswith("client")


def _wait(client: Client, watcher: "Watcher") -> None:
    with suppress(TraceFailed):  # the main thread will meet it, too
        while not client.advance(watcher.through):
            pass


class Watcher:
    """Follows the request through the machine while it is on its way."""

    def __init__(self, request: Request, proxy: Proxy | None) -> None:
        self.request = request
        self.proxy = proxy
        self.flow: Flow | None = None
        self.listening: list[Socket] = []
        self.accepted: Socket | None = None
        self.outgoing: Socket | None = None
        self.through = False
        self._before = sockets.sockets(request.protocol)

    def sample(self, client: Client) -> None:
        if self.through:
            return
        self.flow = conntrack.find(self.request.protocol, client.client, self.request.target) or self.flow
        if self.flow is None:
            return
        if self.flow.reply.source in self.request.backends:  # the kernel itself leads there
            self.through = True
            return
        now = sockets.sockets(self.request.protocol)
        self.listening = sockets.listening(now, int(self.flow.reply.source.rpartition(":")[2])) or self.listening
        if self.proxy:
            pid, peer = self.proxy.pid, self.flow.reply.destination
            self.accepted = sockets.accepted(now, pid, peer) or self.accepted
            found = sockets.outgoing(now, self._before, pid, self.request.backends, self.accepted)
            self.outgoing = found or self.outgoing
            self.through = found is not None and found.state == "ESTAB"


def attempts(packets: Iterable[Traced], flow: Flow | None) -> list[Attempt]:
    """What the proxy tried after the client's packet had come, each with whether it was refused."""
    made: dict[tuple[str, str], Attempt] = {}
    came = False
    for each in packets:
        there = each.packet
        came = came or _is_client(each)
        if each.role == "attempt" and came:
            made.setdefault(
                (there.source, there.destination), Attempt(source=there.source, destination=there.destination)
            )
        elif each.role == "refusal" and (attempt := made.get((there.destination, there.source))):
            attempt.answer = "refused"
    direct = flow is not None and any(flow.reply.source == destination for _, destination in made)
    return [] if direct else list(made.values())


def routes(backends: Iterable[str]) -> list[Route]:
    """Where packets to the endpoints go next."""
    ips = dict.fromkeys(each.partition(":")[0] for each in backends)
    return [route(ip) for ip in list(ips)[:ROUTES]]


def route(ip: str) -> Route:
    done = subprocess.run(["ip", "-j", "route", "get", ip], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        return Route(to=ip, trouble=re.sub(r"^RTNETLINK answers: ", "", done.stderr.strip()))
    found = json.loads(done.stdout)[0]
    return Route(to=ip, via=found.get("gateway", ""), dev=found.get("dev", ""), source=found.get("prefsrc", ""))
