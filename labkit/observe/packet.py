"""Asks for one request to be made, and collects what the machines saw of it.

pod or node:  python -m labkit.probe on its machine sends, looks and reports
host:         the probe on the machine that the address belongs to says "armed"; then we send from here
then:         the machine of the endpoint that was chosen, if another: did it see the connection?
"""

import asyncio
import functools
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from labkit.api.types import Endpoints, Pod, Service
from labkit.cluster import Cluster, Machine
from labkit.observe.evidence import Evidence, far_machine, last_leg
from labkit.observe.objects import Objects
from labkit.observe.question import Question
from labkit.observe.sending import timed
from labkit.probe.report import Ending, Report, Request
from labkit.provision import admin
from labkit.provision.channel import Result
from labkit.provision.errors import CommandFailed
from labkit.provision.ssh import Ssh

PROBE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /opt/labkit/venv/bin/python -m labkit.probe"
API_SECONDS = 10.0
ARMING_SECONDS = 20.0  # so long the sender may take until it sends
HELLO = b"labkit packet\n"


class Shell(Protocol):
    """Runs a command on a machine as root, as Ssh does."""

    def run(
        self,
        command: str,
        timeout: float = 60,
        check: bool = True,
        input: bytes | str | None = None,
        *,
        what: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> Result: ...


Reach = Callable[[Machine], AbstractContextManager[Shell]]


def objects(cluster: Cluster) -> Objects:
    """Raises ApiError, CommandFailed."""

    async def listed() -> Objects:
        async with admin.client(cluster) as client:
            pods, services, endpoints = await asyncio.gather(
                client.list(Pod), client.list(Service), client.list(Endpoints)
            )
            return Objects(pods.items, services.items, endpoints.items)

    try:
        return asyncio.run(asyncio.wait_for(listed(), API_SECONDS))
    except TimeoutError as exc:
        raise CommandFailed(cluster.master.name, f"asking kube-apiserver within {API_SECONDS:g} s") from exc


def investigate(
    question: Question, found: Objects, cluster: Cluster, say: bytes, seconds: float, reach: Reach | None = None
) -> Evidence:
    """Send it. Raises CommandFailed when the machine where it starts, or arrives, cannot be asked.

    reach: how a machine is reached, over SSH unless told otherwise.
    """
    to: Reach = reach or functools.partial(Ssh, cluster)
    near: Report | None = None
    with to(question.machine) as shell:
        if question.sender:
            with to(question.sender) as sending:
                near, report = between(sending, shell, question, say, seconds)
        else:
            report = (from_host if question.start.kind == "host" else probe)(shell, question, say, seconds)
    evidence = Evidence(question, report, found, near)
    far = far_machine(evidence, cluster)
    leg = last_leg(report)
    if far and leg:
        try:
            with to(far) as shell:
                evidence.far = _decoded(
                    shell.run(f"{PROBE} flow {question.protocol} {leg[0]} {leg[1]}", timeout=20).out
                )
        except CommandFailed as exc:
            evidence.far_trouble = f"{far.name} cannot be asked: {exc.tail or exc.what}"
    return evidence


def request(question: Question, say: bytes, seconds: float, client: str = "") -> Request:
    """What the probe is told."""
    pod = question.pod
    return Request(
        target=question.target, protocol="udp" if question.protocol == "udp" else "tcp",
        pod=f"{pod.metadata.namespace}/{pod.metadata.name}" if pod and not client else "", client=client,
        send=say or hello(question), service=question.port_name, backends=question.backends, seconds=seconds,
    )  # fmt: skip


def probe(shell: Shell, question: Question, say: bytes, seconds: float) -> Report:
    asked = msgspec.json.encode(request(question, say, seconds))
    return _decoded(shell.run(PROBE, timeout=seconds + 40, input=asked, what="looking at the request").out)


def between(sending: Shell, arriving: Shell, question: Question, say: bytes, seconds: float) -> tuple[Report, Report]:
    """One machine sends, another watches it arrive; the ending is what came of it for the sender."""
    assert question.sender
    watch = request(question, b"", seconds + ARMING_SECONDS, f"{question.sender.address}:0")
    send = request(question, say, seconds)
    send.backends, send.hold = [question.target], 1.0
    sent: list[Report] = []

    def on_line(line: str) -> None:
        if line == "armed":
            ran = sending.run(PROBE, timeout=seconds + 40, input=msgspec.json.encode(send), what="sending the request")
            sent.append(_decoded(ran.out))

    ran = arriving.run(
        PROBE, timeout=seconds + 60, input=msgspec.json.encode(watch), what="watching the request", on_line=on_line
    )
    report, near = _decoded(ran.out), sent[0] if sent else Report(trouble="it was not sent")
    report.ending, report.answer, report.milliseconds = near.ending, near.answer, near.milliseconds
    return near, report


def from_host(shell: Shell, question: Question, say: bytes, seconds: float) -> Report:
    """The probe watches, we send. The report's ending is what came of it here."""
    kind = socket.SOCK_DGRAM if question.protocol == "udp" else socket.SOCK_STREAM
    ip, _, port = question.target.partition(":")
    with socket.socket(socket.AF_INET, kind) as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as finder:
        finder.connect((ip, int(port)))  # sends nothing: only asks for a route
        sock.bind((finder.getsockname()[0], 0))
        sock.settimeout(seconds)
        client = "{}:{}".format(*sock.getsockname())
        result: list[tuple[Ending, bytes, float]] = []

        def on_line(line: str) -> None:
            if line == "armed":
                result.append(timed(sock, (ip, int(port)), say or hello(question)))

        asked = msgspec.json.encode(request(question, say, seconds, client))
        ran = shell.run(PROBE, timeout=seconds + 40, input=asked, what="looking at the request", on_line=on_line)
    report = _decoded(ran.out)
    report.ending, report.answer, report.milliseconds = result[0] if result else ("", b"", 0.0)
    return report


def hello(question: Question) -> bytes:
    """Something to say where silence is no request: UDP, and to port 53 a question about a name of the cluster."""
    if question.protocol != "udp":
        return b""
    if question.target.endswith(":53"):
        name = b"".join(bytes([len(label)]) + label for label in b"kubernetes.default.svc.cluster.local".split(b"."))
        return struct.pack("!6H", 0x1ABC, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!2H", 1, 1)
    return HELLO


def _decoded(printed: str) -> Report:
    return msgspec.json.decode(printed.splitlines()[-1], type=Report)
