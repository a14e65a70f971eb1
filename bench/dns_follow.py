"""How soon kube-dns answers with what was written: from the client's GET and PUT of Endpoints to the first answer.

kube-dns is the real process; between it and the writer stand a kube-apiserver in memory and one watch.
"""

import asyncio
import socket
import statistics
import tempfile
import time
from pathlib import Path

from dnslib import DNSRecord

from bench.rows import Row
from labkit.api.types import EndpointPort, ServicePort
from tests.node.netns import NODE_IP
from tests.node.world import World, world

CHANGES, GOAL_MS = 200, 100.0
PORT = 53


def follows() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        took = sorted(asyncio.run(_changes(Path(folder))))
    median, worst = 1000 * statistics.median(took), 1000 * took[int(len(took) * 0.99)]
    name = "a change of Endpoints is answered, p99"
    note = f"{CHANGES} changes of a headless service; the time includes the writer's own GET and PUT"
    return Row(
        name=name, value=worst, unit="ms", better="lower", goal=GOAL_MS, beside={"median": round(median, 1)}, note=note
    )


async def _changes(folder: Path) -> list[float]:
    """Seconds, for each."""
    async with world(folder) as lab:
        await lab.start("kube_dns", f"--dns-bind-address={NODE_IP}", healthz_port=8081)
        await lab.service("web", "None", ServicePort(port=80, protocol="TCP"))
        sock = await lab.inside("node", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with sock:
            sock.settimeout(5)
            return [await _change(lab, sock, f"10.244.2.{number}") for number in range(2, CHANGES + 2)]


async def _change(lab: World, sock: socket.socket, ip: str) -> float:
    answered = asyncio.create_task(asyncio.to_thread(_wait, sock, ip))
    began = time.monotonic()
    await lab.endpoints("web", ip, ports=(EndpointPort(port=80, protocol="TCP"),))
    return await answered - began


def _wait(sock: socket.socket, ip: str) -> float:
    """When the one address of web is this."""
    question = DNSRecord.question("web.default.svc.cluster.local").pack()
    while True:
        sock.sendto(question, (NODE_IP, PORT))
        if [str(rr.rdata) for rr in DNSRecord.parse(sock.recv(4096)).rr] == [ip]:
            return time.monotonic()
        time.sleep(0.001)
