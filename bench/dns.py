"""kube-dns on one core: answers a second over UDP, and its memory at 5,000 services; beside dnsmasq where that exists.

The load is four processes of this file (`python -m bench.dns ask PORT SECONDS`) with 50 questions under way each, for
500 names that exist.
"""

import asyncio
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rows import Row
from labkit.api.types import ObjectMeta, Service, ServicePort, ServiceSpec, key
from labkit.components.kube_dns.records import Records, records_of
from labkit.components.kube_dns.server import Server
from labkit.components.kube_dns.wire import respond

SERVICES, NAMES = 5000, 500
ROUNDS, SECONDS, CLIENTS, OUTSTANDING = 3, 1.0, 4, 50
PORTS = {"kube-dns": 15353, "dnsmasq": 15354}
Say = Callable[[str], None]


def rows(say: Say) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, _kube_dns() as ours, _dnsmasq(Path(folder)) as peer:
        answers: dict[str, list[float]] = {name: [] for name in ("kube-dns", *(["dnsmasq"] if peer else []))}
        for number in range(ROUNDS):
            for name in answers:
                say(f"round {number + 1} of {ROUNDS}: {name}")
                answers[name].append(_load(PORTS[name]))
        status = Path(f"/proc/{ours.pid}/status").read_text().splitlines()
    medians = {name: statistics.median(measured) for name, measured in answers.items()}
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
    rate, peer_rate = medians["kube-dns"], medians.get("dnsmasq")
    answered = Row(name="DNS answers/s of kube-dns", value=rate, unit="1/s", better="higher")
    if peer_rate is None:
        answered.note = "no dnsmasq to compare with on this machine"
    else:
        answered.goal, answered.beside, answered.note = 0.8 * peer_rate, {"dnsmasq": peer_rate}, "80 % of dnsmasq"
    return [
        answered,
        Row(name=f"kube-dns' memory at {SERVICES} services", value=resident, unit="MB", better="lower", goal=60),
    ]


def _load(port: int) -> float:
    """Answers a second that all clients together get."""
    command = [sys.executable, "-m", "bench.dns", "ask", str(port), str(SECONDS)]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
    return float(sum(float(process.communicate(timeout=30)[0]) for process in asking))


@contextmanager
def _kube_dns() -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "bench.dns", "serve", str(PORTS["kube-dns"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it listens
            yield process
        finally:
            process.terminate()


@contextmanager
def _dnsmasq(folder: Path) -> Iterator[bool]:
    """dnsmasq with the same names; False where it is not installed."""
    if not (program := shutil.which("dnsmasq")):
        yield False
        return
    hosts = folder / "hosts"
    hosts.write_text("".join(f"10.0.{n // 250}.{n % 250 + 1} {_name(n)}\n" for n in range(SERVICES)))
    command = [
        program, "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--addn-hosts={hosts}",
        "--listen-address=127.0.0.1", "--bind-interfaces",
        f"--port={PORTS['dnsmasq']}", "--pid-file=", "--conf-file=/dev/null", "--user=root",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(1)  # it reads its hosts
            yield True
        finally:
            process.terminate()


def _name(number: int) -> str:
    return f"s{number}.default.svc.cluster.local"


# -- processes -----------------------------------------------------------------------------------------------------


async def serve(port: int) -> None:
    """kube-dns' server and records, without an API server."""
    records = Records()
    for number in range(SERVICES):
        meta = ObjectMeta(name=f"s{number}", namespace="default")
        port_web = ServicePort(name="web", port=80, protocol="TCP")
        service = Service(
            metadata=meta, spec=ServiceSpec(cluster_ip=f"10.0.{number // 250}.{number % 250 + 1}", ports=[port_web])
        )
        records.put(key(service), records_of(service, None, records.domain))
    server = Server(lambda packet, tcp=False: respond(packet, records, tcp=tcp))
    async with server.listening("127.0.0.1", port):
        print("ready", flush=True)
        await asyncio.Event().wait()


def ask(port: int, seconds: float) -> float:
    """Answers a second; a question that got none within 0.2 s counts as lost and is replaced."""
    questions = [_question(number) for number in range(NAMES)]
    count = sent = under_way = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.2)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            while under_way < OUTSTANDING:
                sock.send(struct.pack("!H", sent & 0xFFFF) + questions[sent % NAMES])
                sent, under_way = sent + 1, under_way + 1
            try:
                sock.recv(512)
                count, under_way = count + 1, under_way - 1
            except TimeoutError:
                under_way = 0
    return count / seconds


def _question(number: int) -> bytes:
    """A question for an A record, without its id."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in _name(number).split("."))
    return struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", port]:
            asyncio.run(serve(int(port)))
        case ["ask", port, seconds]:
            print(ask(int(port), float(seconds)))
        case _:
            sys.exit(f"expected serve PORT or ask PORT SECONDS: {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
