"""Looks a name up as the C library of a pod would, and notes each step.

    names_to_try   which names, in which order        the search list and ndots       <- the decision
    look_up        asks them one by one               until one exists
    ask            one question to one nameserver     UDP, and TCP when the answer does not fit

Source: resolv.conf(5); res_search of glibc: NXDOMAIN, an answer without records and SERVFAIL lead to the next name,
anything else ends the search.
"""

import secrets
import socket
import time
from pathlib import Path

from labkit.probe import message, netns, rules, sockets
from labkit.probe.asked import Asked, NameReport, NameRequest, Outcome
from labkit.probe.look import route

DNS_PORT = 53
NDOTS = 1  # resolv.conf(5), without an option
_GO_ON = ("NXDOMAIN", "NOERROR", "SERVFAIL")


def names_to_try(name: str, searches: list[str], ndots: int) -> list[str]:
    """redis -> redis.default.svc.cluster.local. ..., redis. The name as it is comes first if it has ndots dots."""
    if name.endswith("."):
        return [name]
    searched = [f"{name}.{search.strip('.')}." for search in searches]
    return [f"{name}.", *searched] if name.count(".") >= ndots else [*searched, f"{name}."]


def look_up(request: NameRequest) -> NameReport:
    """The report; what cannot be done at all is its `trouble`."""
    try:
        space, conf = _place(request)
        report = read_conf(Path(conf).read_text())
        report.names = names_to_try(request.name, report.searches, report.ndots)
        netns.inside(space, lambda: _ask_all(request, report))
    except (netns.NoSuchPod, OSError, ValueError) as exc:
        return NameReport(trouble=str(exc))
    if not report.asked[-1].answered:
        _look_around(request, report)
    return report


def read_conf(text: str) -> NameReport:
    """What a resolv.conf says: of several search lines the last holds, of nameservers the first three."""
    report = NameReport()
    for line in text.splitlines():
        match line.split("#")[0].split():
            case ["nameserver", address, *_]:
                report.nameservers.append(address)
            case ["search" | "domain", *names]:
                report.searches = names
            case ["options", *words]:
                report.options += words
    report.nameservers = report.nameservers[:3] or ["127.0.0.1"]
    report.ndots = next((int(each[6:]) for each in report.options if each.startswith("ndots:")), NDOTS)
    return report


def _place(request: NameRequest) -> tuple[str, str]:
    """The network namespace and the resolv.conf of who asks."""
    if request.pod:
        return netns.of_pod(request.pod), netns.resolv_conf_of_pod(request.pod)
    return request.netns or netns.OWN, request.resolv_conf or "/etc/resolv.conf"


def _ask_all(request: NameRequest, report: NameReport) -> None:
    for name in report.names:
        for server in report.nameservers:
            report.asked.append(ask(name, request.type, (server, DNS_PORT), request.seconds))
            if report.asked[-1].outcome in _GO_ON:
                break
        if report.asked[-1].found or report.asked[-1].outcome not in _GO_ON:
            return


def _look_around(request: NameRequest, report: NameReport) -> None:
    """The nameserver did not answer: is it the way to it, or is it the server itself? Seen from the machine."""
    last = report.asked[-1]
    ip = last.server.partition(":")[0]
    proxy = sockets.kube_proxy()
    report.proxy_mode = proxy.mode if proxy else ""
    report.rules = rules.naming(f"{ip}/32", f" {ip} . ")
    report.route_trouble = route(ip).trouble
    for address in request.direct[:4]:
        server, _, port = address.rpartition(":")
        report.direct.append(ask(last.name, request.type, (server, int(port)), request.seconds))


def ask(name: str, kind: str, server: tuple[str, int], seconds: float) -> Asked:
    """One question. Raises ValueError for a name that cannot be asked for."""
    asked = Asked(name=name, type=kind, server="{}:{}".format(*server), outcome="silent")
    ident = secrets.randbits(16)
    packet = message.question(ident, name, kind)
    started = time.monotonic()
    try:
        answer = _exchange(packet, ident, server, seconds)
        if message.is_truncated(answer):
            asked.tcp, answer = True, _exchange_tcp(packet, server, seconds)
        asked.outcome, asked.records, asked.remembered = message.read(answer)
    except message.Unreadable:
        asked.outcome = "garbage"
    except OSError as exc:
        asked.outcome = _trouble(exc)
    asked.milliseconds = round((time.monotonic() - started) * 1000, 1)
    return asked


def _trouble(exc: OSError) -> Outcome:
    if isinstance(exc, ConnectionRefusedError):
        return "nobody listens"
    return "silent" if isinstance(exc, TimeoutError) else "unreachable"


def _exchange(packet: bytes, ident: int, server: tuple[str, int], seconds: float) -> bytes:
    """The first datagram that answers; TimeoutError, ConnectionRefusedError (ICMP), other OSErrors."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server)
        sock.send(packet)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            answer = sock.recv(65535)
            if message.answers(answer, ident):
                return answer
    raise TimeoutError


def _exchange_tcp(packet: bytes, server: tuple[str, int], seconds: float) -> bytes:
    with socket.create_connection(server, timeout=seconds) as sock, sock.makefile("rb") as answer:
        sock.sendall(len(packet).to_bytes(2) + packet)
        return answer.read(int.from_bytes(answer.read(2)))
