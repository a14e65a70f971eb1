"""The story of a controller, told from what all components of one process wrote: every hop of the design, in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from labkit.client.rest import Client
from labkit.components.kube_dns.dns import Dns
from labkit.components.kube_proxy.proxy import Proxy
from labkit.components.kube_proxy.userspace import Machine
from labkit.observe.story.lines import parse_all
from labkit.observe.story.tell import tell
from labkit.observe.story.told import Known, Story, Told
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess
from tests.cluster.objects import addresses, names, pods, rc, running, scale, service
from tests.unit.components.kube_proxy.test_userspace import Table

RC, SERVICE = "replicationcontrollers/default/web", "services/default/web"
WATCHED = [("kube-apiserver", "Cache.apply"), ("kube-apiserver", "Follower.tell")]
HEARD = [("kube-controller-manager", "Informer._apply"), ("kube-controller-manager", "WorkQueue.get")]
CREATION = [
    ("kube-apiserver", "Resources.create"), ("etcd", "Memory.commit"), *WATCHED, *HEARD,
    ("kube-controller-manager", "plan"),
    ("kube-apiserver", "Resources.create"), ("etcd", "Memory.commit"), *WATCHED,
    ("kube-scheduler", "Informer._apply"), ("kube-scheduler", "WorkQueue.get"), ("kube-scheduler", "schedule"),
    ("kube-apiserver", "bind"), ("etcd", "Memory.commit"), *WATCHED,
    ("kubelet", "Informer._apply"), ("kubelet", "plan"), ("kubelet", "FakeRuntime.create"),
    ("kubelet", "FakeRuntime.start"), ("kubelet", "plan"), ("kubelet", "FakeRuntime.create"),
    ("kubelet", "FakeRuntime.start"),
    ("kube-apiserver", "status"), ("etcd", "Memory.commit"), *WATCHED, *HEARD,
    ("kube-apiserver", "Resources.update"), ("etcd", "Memory.commit"), *WATCHED,
    ("kube-proxy", "Informer._apply"), ("kube-proxy", "addresses"),
]  # fmt: skip
"""DESIGN.md, section 2: from the POST to what a connection needs. The twins stand for etcd and docker."""
DELETION = [
    ("kube-apiserver", "Resources.update"), *WATCHED, *HEARD, ("kube-controller-manager", "plan"),
    ("kube-apiserver", "Resources.delete"), ("etcd", "Memory.commit"), *WATCHED, ("kubelet", "Informer._apply"),
    ("kubelet", "plan"),
]  # fmt: skip


class OwnTable(Proxy):
    """A proxy whose rules are in memory: nothing of other modes is looked for on this computer."""

    async def _take_over(self) -> None:
        self._taken_over = True


@asynccontextmanager
async def proxy_and_dns(url: str) -> AsyncIterator[None]:
    """What a cluster in one process does not have."""
    async with Client(url, user_agent="kube-proxy") as one, Client(url, user_agent="kube-dns") as other:
        proxy = OwnTable(one, Machine("127.0.0.1", "127.0.0.1"), iptables=Table())
        dns = Dns(other)
        tasks = [asyncio.create_task(proxy.run()), asyncio.create_task(dns.run())]
        try:
            await eventually(lambda: dns.ready.is_set() and not proxy.trouble, 20, expect="kube-proxy and kube-dns")
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def told(printed: str, target: str = RC) -> Story:
    lines, applied = parse_all({"one": printed.splitlines()})
    return tell(Known(target, lines, applied, related=[SERVICE]), everything=True)


def missing(story: Story, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of `wanted` the story has not, in this order."""
    hops = iter([(hop.component, hop.function) for chapter in story.chapters for hop in chapter.hops])
    return [each for each in wanted if each not in hops]


async def settled(cluster: OneProcess, wanted: int) -> None:
    async def there() -> bool:
        ready = await running(cluster.client)
        return len(ready) == len(await pods(cluster.client)) == len(await addresses(cluster.client, "web")) == wanted

    await eventually(there, 30, expect=f"{wanted} pods, all of them in Endpoints")


async def test_every_hop_of_the_design_in_its_order(cluster: OneProcess, capsys: pytest.CaptureFixture[str]) -> None:
    async with proxy_and_dns(cluster.server.base_url):
        await cluster.client.create(service("web"))
        await cluster.client.create(rc(1))
        await settled(cluster, 1)
        printed = ""

        def whole() -> bool:
            nonlocal printed
            printed += capsys.readouterr().out
            return not missing(told(printed), CREATION)

        await eventually(whole, 10, every=0.3, expect="every hop of the table")  # the last lines come 0.2 s later
    story = told(printed)
    hops = {hop.number: hop for chapter in story.chapters for hop in chapter.hops}
    assert not [hop for hop in hops.values() if hop.moved]
    assert all(hops[cause].time <= hop.time for hop in hops.values() for cause in hop.after)
    assert all(hop.file.startswith("labkit/") and hop.line for hop in hops.values())
    assert {hop.function for hop in hops.values()} > {"container_portal", "host_portal", "records_of", "subsets"}
    (plan,) = [hop for hop in hops.values() if hop.decision == "scale"]
    assert _reasons(plan.number, hops) >= {"Resources.create", "Memory.commit", "Cache.apply", "Follower.tell"}


def _reasons(number: int, hops: dict[int, Told]) -> set[str]:
    """The functions of all that a hop came of."""
    found: set[str] = set()
    look = [number]
    while look:
        after = hops[look.pop()].after
        look += after
        found |= {hops[each].function for each in after}
    return found


async def test_scaling_down_is_told_as_well(cluster: OneProcess, capsys: pytest.CaptureFixture[str]) -> None:
    await cluster.client.create(service("web"))
    await cluster.client.create(rc(2))
    await settled(cluster, 2)
    before = names(await pods(cluster.client))
    await scale(cluster.client, 1)
    await settled(cluster, 1)
    (gone,) = before - names(await pods(cluster.client))
    printed = ""

    def whole() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return not missing(told(printed), [*CREATION[:7], *DELETION]) and '"decision":"pod is gone"' in printed

    await eventually(whole, 10, every=0.3, expect="every hop of a deletion")
    hops = [hop for chapter in told(printed, f"pods/default/{gone}").chapters for hop in chapter.hops]
    assert not missing(told(printed, f"pods/default/{gone}"), DELETION[6:])
    assert [hop for hop in hops if "nothing is left" in hop.text]
    assert not [hop for hop in hops if hop.object.startswith("pods/") and gone not in hop.object]


async def test_a_container_that_dies_begins_a_way_of_its_own(
    cluster: OneProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    await cluster.client.create(rc(1))
    await eventually(lambda: _one_runs(cluster), 30, expect="a pod that runs")
    (pod,) = await pods(cluster.client)
    cluster.runtimes[pod.spec.node_name].exit(f"default/{pod.metadata.name}", "c", 1)
    printed = ""

    def again() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return not missing(told(printed), [("kubelet", "Kubelet._follow_events"), ("kubelet", "FakeRuntime.start")])

    await eventually(again, 20, every=0.3, expect="the death, and the container that took its place")


async def _one_runs(cluster: OneProcess) -> bool:
    return len(await running(cluster.client)) == 1
