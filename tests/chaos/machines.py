"""Every fault on the machines of a running cluster, with a writer at work: `python -m tests.chaos.machines`.

For each fault: make it, let it last, heal it, wait until the cluster is whole; all the while ConfigMaps are created
through the API, and each one that was acknowledged has to be there at the end. Writes docs/faults.md.
Bounded: ROUNDS faults of SECONDS each, and WHOLE_SECONDS to heal; what it made is removed at the end.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from labkit.api.codec import from_builtins
from labkit.api.errors import ApiError
from labkit.api.types import ConfigMap, ObjectMeta, ReplicationController, Service
from labkit.client.rest import Client
from labkit.cluster import Cluster, ClusterError, load
from labkit.provision import admin
from labkit.provision.faults import disk, plan, play, whole
from labkit.provision.faults.book import Book
from labkit.provision.faults.plan import Plan
from labkit.provision.faults.target import Target, parse

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "faults.md"
SECONDS, WHOLE_SECONDS, PAUSE = 10.0, 240.0, 0.1
REPLICAS, NAME = 4, "chaos"


Say = Callable[[str], None]


@dataclass
class Written:
    """What became of the writer's creates."""

    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0


@dataclass(frozen=True)
class Row:
    fault: str
    seconds: float
    acknowledged: int
    refused: int
    lost: int
    whole: float | None  # None: not within WHOLE_SECONDS


def faults(cluster: Cluster) -> Iterable[tuple[str, Callable[[], Plan]]]:
    """The command that a learner would type, and its plan."""
    agents = cluster.agents
    one, other = agents[0], agents[1]

    def of(verb: str, make: Callable[[Cluster, Target], Plan], target: str) -> tuple[str, Callable[[], Plan]]:
        return f"{verb} {target}", lambda: make(cluster, parse(cluster, target))

    for service in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", f"kubelet@{one.name}",
                    f"kube-proxy@{one.name}", f"docker@{one.name}"):  # fmt: skip
        yield of("kill", plan.kill, service)
    for service in ("etcd", "kube-apiserver", "kube-controller-manager", f"kubelet@{one.name}"):
        yield of("pause", plan.pause, service)
    yield of("stop", plan.stop, "kube-apiserver")
    yield of("pause", plan.pause, other.name)
    number = Book(cluster).next_number()
    others = [each for each in cluster.machines if each != one]
    yield f"partition {one.name}", lambda: plan.partition(cluster, one, others, number, one_way=False)
    yield f"partition {one.name} --one-way", lambda: plan.partition(cluster, one, others, number, one_way=True)
    yield f"slow {one.name} --rate 16 --loss 5", lambda: plan.slow(cluster, one, others, number, 16, 5)
    yield "skew kube-controller-manager --by 3600", lambda: plan.skew(parse(cluster, "kube-controller-manager"), 3600)
    yield f"disk {one.name}", lambda: disk.full(cluster, one, number)
    yield of("kill", plan.kill, other.name)


async def write(client: Client, written: Written, number: int, until: asyncio.Event) -> None:
    """Create one ConfigMap after the other; a refusal, or no answer, is no acknowledgement."""
    count = 0
    while not until.is_set():
        name = f"{NAME}-{number}-{count}"
        count += 1
        try:
            async with asyncio.timeout(5):
                await client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels={"of": NAME})))
            written.acknowledged.append(name)
        except (ApiError, OSError, TimeoutError):
            written.refused += 1
        await asyncio.sleep(PAUSE)


async def suffer(cluster: Cluster, number: int, command: str, make: Callable[[], Plan], say: Say) -> Row:
    """One fault from its beginning until the cluster is whole."""
    written, until = Written(), asyncio.Event()
    async with admin.client(cluster) as client:
        writer = asyncio.create_task(write(client, written, number, until))
        loop = asyncio.get_running_loop()
        fault_number = Book(cluster).next_number()
        fault = await loop.run_in_executor(None, lambda: play.make(cluster, make(), fault_number, lambda command: None))
        if fault:
            await asyncio.sleep(SECONDS)
        healing = time.monotonic()
        if fault:
            await loop.run_in_executor(None, lambda: play.undo(cluster, fault, lambda command: None))
        whole_again = await loop.run_in_executor(None, lambda: whole.wait(cluster, WHOLE_SECONDS))
        took = None if whole_again is None else time.monotonic() - healing
        until.set()
        await writer
        there = {each.metadata.name for each in (await client.list(ConfigMap, "default")).items}
    lost = len(set(written.acknowledged) - there)
    row = Row(command, SECONDS if fault else 0, len(written.acknowledged), written.refused, lost, took)
    say(f"{command}: {row.acknowledged} acknowledged, {row.refused} not, {row.lost} lost, "
        + (f"whole after {took:.1f} s" if took is not None else "NOT WHOLE"))  # fmt: skip
    return row


async def prepare(cluster: Cluster) -> None:
    """Pods and a service, so that there is something to keep whole."""
    pod = {"containers": [{"name": "nginx", "image": "nginx"}], "terminationGracePeriodSeconds": 1}
    rc = {"metadata": {"name": NAME, "namespace": "default"},
          "spec": {"replicas": REPLICAS, "template": {"metadata": {"labels": {"of": NAME}}, "spec": pod}}}  # fmt: skip
    service = {"metadata": {"name": NAME, "namespace": "default"},
               "spec": {"selector": {"of": NAME}, "ports": [{"port": 80}]}}  # fmt: skip
    async with admin.client(cluster) as client:
        await client.create(from_builtins(rc, ReplicationController))
        await client.create(from_builtins(service, Service))
    if await asyncio.get_running_loop().run_in_executor(None, lambda: whole.wait(cluster, WHOLE_SECONDS)) is None:
        raise SystemExit("the cluster is not whole to begin with: labkit status")


async def tidy(cluster: Cluster) -> None:
    async with admin.client(cluster) as client:
        for each in (await client.list(ConfigMap, "default")).items:
            if each.metadata.labels.get("of") == NAME:
                await client.delete(ConfigMap, each.metadata.name, "default")
        await client.delete(ReplicationController, NAME, "default", propagation_policy="Background")
        await client.delete(Service, NAME, "default")


UNTRIED = (
    "Not in the table, as machines of the docker provider cannot: `skew MACHINE`, the clock of a whole machine",
    "(containers share the host's, which is left alone), and where the kernel has no netem `slow --delay` (the command",
    "says so and offers `--rate` and `--loss`). Their commands are tested as text (`tests/unit/provision/faults`); on",
    "virtual machines nobody has run them yet.",
)


def page(rows: list[Row], cluster: Cluster) -> str:
    """docs/faults.md."""
    lines = [
        "# Faults: what is lost, and how long it takes to heal",
        "",
        f"Each fault of `labkit fault`, made on a cluster of {len(cluster.machines)} machines (provider",
        f"{cluster.provider}, timing {cluster.timing}) with {REPLICAS} pods behind a Service, while one client creates",
        f"objects one after the other. A fault that lasts is healed after {SECONDS:g} s. *Whole* is when every service",
        "runs, every node is Ready, every replication controller has its ready pods, all Endpoints are exactly the",
        "ready pods and every machine's rules lead there; the time runs from the heal, or from a kill, and is looked",
        "at about once a second.",
        "",
        "| `labkit fault` ... | lasted | writes acknowledged | refused | acknowledged and lost | whole after |",
        "|---|---|---|---|---|---|",
        *(f"| `{row.fault}` | {row.seconds:g} s | {row.acknowledged} | {row.refused} | {row.lost} | {_took(row)} |"
          for row in rows),
        "",
        *UNTRIED,
        "",
        "Written by `python -m tests.chaos.machines` (`make chaos`) from a run, not by hand.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _took(row: Row) -> str:
    return f"{row.whole:.1f} s" if row.whole is not None else f"not within {WHOLE_SECONDS:g} s"


async def run(cluster: Cluster, only: str) -> list[Row]:
    await prepare(cluster)
    try:
        wanted = [(command, make) for command, make in faults(cluster) if only in command]
        return [await suffer(cluster, number, command, make, print) for number, (command, make) in enumerate(wanted)]
    finally:
        for fault in reversed(Book(cluster).faults()):
            play.undo(cluster, fault, print)
        await tidy(cluster)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default=os.environ.get("LABKIT_CLUSTER", "lab"))
    parser.add_argument("--only", default="", help="faults with this in their command; the page is left as it is")
    given = parser.parse_args()
    try:
        cluster = load(given.cluster)
    except ClusterError as exc:
        print(f"no machines to break: {exc}")
        return 0
    began = time.monotonic()
    rows = asyncio.run(run(cluster, given.only))
    if not given.only:
        PAGE.write_text(page(rows, cluster))
    bad = [row for row in rows if row.lost or row.whole is None]
    print(f"{len(rows)} faults in {time.monotonic() - began:.0f} s, {len(bad)} with a loss or not healed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
