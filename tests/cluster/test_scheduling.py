"""More than one scheduler, policies and plug-ins: what a class plays with."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from labkit.api.types import Event, Pod
from labkit.client.rest import Client
from labkit.components.kube_scheduler import plugins
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER, Algorithm
from labkit.components.kube_scheduler.scheduler import Scheduler
from labkit.testing.eventually import eventually
from labkit.testing.one_process import OneProcess, one_process
from tests.cluster.objects import pod


@asynccontextmanager
async def beside(cluster: OneProcess, algorithm: Algorithm, name: str) -> AsyncIterator[None]:
    """One more scheduler."""
    async with Client(cluster.server.base_url) as client:
        task = asyncio.create_task(Scheduler(client, algorithm, name=name).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def with_predicate(name: str, function: Callable[..., Any]) -> Algorithm:
    return DEFAULT_PROVIDER._replace(
        predicates={**DEFAULT_PROVIDER.predicates, name: plugins.predicate(name, function)}
    )


async def home(client: Client, name: str) -> str:
    """The node of a pod, as soon as it has one."""

    async def bound() -> str:
        return (await client.get(Pod, name, "default")).spec.node_name

    return await eventually(bound, 10, expect=f"{name} bound")


async def test_a_pod_says_whose_it_is() -> None:
    async with one_process(nodes=["agent1", "agent2"]) as cluster:
        await cluster.client.create(pod("mine", scheduler_name="mine"))
        await cluster.client.create(pod("theirs"))
        await home(cluster.client, "theirs")
        assert not (await cluster.client.get(Pod, "mine", "default")).spec.node_name
        only_agent2 = with_predicate("OnlyAgent2", lambda pod, node, view: node.metadata.name == "agent2")
        async with beside(cluster, only_agent2, "mine"):
            assert await home(cluster.client, "mine") == "agent2"
            told = [e for e in (await cluster.client.list(Event)).items if e.reason == "scheduled"]
            assert {e.involved_object.name: e.source.component for e in told}["theirs"] == "scheduler"

            async def named() -> bool:
                events = (await cluster.client.list(Event)).items
                return any(e.source.component == "mine" and e.involved_object.name == "mine" for e in events)

            await eventually(named, 10, expect="its event names the other scheduler")


async def test_two_schedulers_count_each_others_pods() -> None:
    async with one_process(nodes=[]) as cluster:
        cluster.add_node("agent1", max_pods=6)
        async with beside(cluster, DEFAULT_PROVIDER, "mine"):
            for number in range(6):
                await cluster.client.create(pod(f"p{number}", scheduler_name="mine" if number % 2 else ""))
                await home(cluster.client, f"p{number}")
            await cluster.client.create(pod("late"))

            async def refused() -> bool:
                events = (await cluster.client.list(Event)).items
                return any("Node agent1: PodFitsResources" in event.message for event in events)

            await eventually(refused, 10, expect="an event that says that agent1 is full")


async def test_a_plug_in_that_raises_costs_its_pods_only() -> None:
    def picky(pod: Pod, node: object, view: object) -> bool:
        if "bad" in pod.metadata.labels:
            raise RuntimeError("cannot cope with bad pods")
        return True

    async with one_process(nodes=["agent1"]) as cluster:
        await cluster.stop("kube-scheduler")
        async with beside(cluster, with_predicate("Picky", picky), "default-scheduler"):
            await cluster.client.create(pod("bad", labels={"bad": "yes"}))
            await cluster.client.create(pod("good"))
            assert await home(cluster.client, "good") == "agent1"

            async def named() -> bool:
                events = (await cluster.client.list(Event)).items
                return any(e.message == "predicate Picky: RuntimeError: cannot cope with bad pods" for e in events)

            await eventually(named, 10, expect="an event that names the plug-in")
            assert not (await cluster.client.get(Pod, "bad", "default")).spec.node_name


async def test_a_plug_in_that_hangs_costs_a_second_and_its_pods_only(capsys: pytest.CaptureFixture[str]) -> None:
    """All components share this process: whatever it holds up, it holds up here."""
    longest = 0.0

    def stuck(pod: Pod, node: object, view: object) -> bool:
        while "bad" in pod.metadata.labels:
            pass
        return True

    async def feel() -> None:
        """How long nobody else had a turn."""
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)

    async with one_process(nodes=["agent1"]) as cluster:
        await cluster.stop("kube-scheduler")
        feeling = asyncio.create_task(feel())
        async with beside(cluster, with_predicate("Stuck", stuck), "default-scheduler"):
            await cluster.client.create(pod("bad", labels={"bad": "yes"}))
            said = "predicate Stuck: TimeoutError: no answer within 1 s"

            async def named() -> bool:
                events = (await cluster.client.list(Event)).items
                return any((e.involved_object.name, e.message) == ("bad", said) for e in events)

            await eventually(named, 30, expect="an event that names the plug-in")
            for number in range(3):
                await cluster.client.create(pod(f"good-{number}"))
            for number in range(3):
                assert await home(cluster.client, f"good-{number}") == "agent1"
            assert not (await cluster.client.get(Pod, "bad", "default")).spec.node_name
            assert longest >= 0.9, "it did hang"
        feeling.cancel()
        await asyncio.gather(feeling, return_exceptions=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if '"failedScheduling"' in line]
    assert any(said in line and '"pods/default/bad"' in line for line in lines)
