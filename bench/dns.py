"""kube-dns on one core: answers a second over UDP, beside dnsmasq with the same names; its memory at 5,000 services;
how soon it follows a change.

The servers are bound to the first core, dnsperf to the last one: 4 clients with 50 questions under way each, for 500
names that exist. What is counted is answers for each second of a processor that the server used, so that neighbours on
the same core do not count. All in a network namespace without a way out, which needs root.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.peers import Missing, Peer, find
from bench.processes import cpu_seconds, resident_mb
from bench.rows import Row
from labkit.api.types import ObjectMeta, Service, ServicePort, ServiceSpec, key
from labkit.components.kube_dns.records import Records, records_of
from labkit.components.kube_dns.server import Server
from labkit.components.kube_dns.wire import respond
from tests.node.netns import Netns, namespace

SERVICES, NAMES = 5000, 500
ROUNDS, SECONDS, CLIENTS, OUTSTANDING = 5, 1, 4, 200
PORTS = {"kube-dns": 15353, "dnsmasq": 15354}
GOAL = 0.8  # of dnsmasq
Say = Callable[[str], None]


def rows(say: Say) -> list[Row]:
    if os.geteuid():
        raise PermissionError("bench dns needs root for its network namespace: sudo make bench WHAT=dns")
    from bench.dns_follow import follows  # not in the server's process, whose memory is measured

    try:
        dnsperf = find("dnsperf")
    except Missing as exc:
        raise Missing(f"the questions are asked by dnsperf: {exc}") from exc
    with tempfile.TemporaryDirectory() as name, namespace(f"lk{os.getpid()}-dns") as space:
        folder = Path(name)
        _questions(folder)
        with _kube_dns(space) as ours, _dnsmasq(space, folder) as peer:
            pids = {"kube-dns": ours, **({"dnsmasq": peer} if peer else {})}
            answers: dict[str, list[float]] = {name: [] for name in pids}
            for number in range(ROUNDS):
                for name, pid in pids.items():
                    say(f"round {number + 1} of {ROUNDS}: {name}")
                    before = cpu_seconds(pid)
                    answered = _load(space, dnsperf, folder, PORTS[name])
                    answers[name].append(answered / (cpu_seconds(pid) - before))
            resident = resident_mb(ours)
    return [
        _answered({name: statistics.median(measured) for name, measured in answers.items()}),
        Row(name=f"kube-dns' memory at {SERVICES} services", value=resident, unit="MB", better="lower", goal=60),
        follows(),
    ]


def _answered(medians: dict[str, float]) -> Row:
    row = Row(name="DNS answers/s of kube-dns on one core", value=medians["kube-dns"], unit="1/s", better="higher")
    if (peer := medians.get("dnsmasq")) is None:
        row.note = "no dnsmasq to compare with: apt-get install dnsmasq-base"
    else:
        row.goal, row.beside = GOAL * peer, {"dnsmasq": round(peer), "share, %": round(100 * row.value / peer)}
        row.note = f"{GOAL:.0%} of dnsmasq"
    return row


def _load(space: Netns, dnsperf: Peer, folder: Path, port: int) -> int:
    """Answers that all clients together get. Bound to a core of its own where there are two."""
    asking = dnsperf.command(
        "-s", "127.0.0.1", "-p", str(port), "-d", str(folder / "questions"), "-l", str(SECONDS),
        "-c", str(CLIENTS), "-q", str(OUTSTANDING),
    )  # fmt: skip
    told = space.run("taskset", "-c", str((os.cpu_count() or 1) - 1), *asking)
    found = re.search(r"Queries completed:\s+(\d+)", told)
    assert found, told
    return int(found[1])


def _questions(folder: Path) -> None:
    (folder / "questions").write_text("".join(f"{_name(number)} A\n" for number in range(NAMES)))
    hosts = "".join(f"10.0.{n // 250}.{n % 250 + 1} {_name(n)}\n" for n in range(SERVICES))
    (folder / "hosts").write_text(hosts)


@contextmanager
def _kube_dns(space: Netns) -> Iterator[int]:
    """Its process id."""
    command = space.command("taskset", "-c", "0", sys.executable, "-m", "bench.dns", str(PORTS["kube-dns"]))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it listens
            yield process.pid
        finally:
            process.terminate()


@contextmanager
def _dnsmasq(space: Netns, folder: Path) -> Iterator[int]:
    """The process id of dnsmasq with the same names; 0 where it cannot be had."""
    with suppress(Missing):
        command = find("dnsmasq").command(
            "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--addn-hosts={folder / 'hosts'}",
            "--listen-address=127.0.0.1", "--bind-interfaces", f"--port={PORTS['dnsmasq']}", "--pid-file=",
            "--conf-file=/dev/null", "--user=root",
        )  # fmt: skip
        with subprocess.Popen(space.command("taskset", "-c", "0", *command), stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(1)  # it reads its hosts
                yield process.pid
            finally:
                process.terminate()
        return
    yield 0


def _name(number: int) -> str:
    return f"s{number}.default.svc.cluster.local"


# -- the server, a process of its own ------------------------------------------------------------------------------


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


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
