"""From counters to rates, and from rates to the pages of the kubelet's server."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from labkit.api.summary import Summary
from labkit.components.kubelet import cadvisor, exposition
from labkit.components.kubelet.counters import Counters
from labkit.components.kubelet.fake import IDLE_CPU, IDLE_MEMORY, MEGABYTE, FakeRuntime, Program
from labkit.components.kubelet.machine import Machine
from labkit.components.kubelet.runtime import PAUSE, Container, ContainerConfig, Measured, Sample
from labkit.components.kubelet.stats import KEPT, Stats
from labkit.components.kubelet.summary import summary
from labkit.components.kubelet.usage import Rate, container_rate, machine_rate
from labkit.testing.eventually import eventually
from labkit.trace import Tracer
from tests.unit.components.kubelet.one_node import OneNode, one_node

CORE = 1_000_000_000
MACHINE = Machine(
    cpu=2000, memory=1 << 30, machine_id="m", system_uuid="u", boot_id="b", booted=1000.0, kernel="6.1",
    os_image="Debian", architecture="amd64", capabilities_missing=frozenset(),
)  # fmt: skip


def container(name: str, started: float, pod: str = "default/p") -> Container:
    return Container(f"{pod}-{name}", name, pod, f"uid of {pod}", "running", started=started)


def sample(time: float, machine_cpu: int = 0, used: Iterable[tuple[Container, Counters]] = ()) -> Sample:
    machine = Counters(cpu=machine_cpu, memory=300, working_set=200, rss=100)
    return Sample(time, machine, {one.id: Measured(one, counters) for one, counters in used})


class TestRates:
    def test_need_two_looks(self) -> None:
        assert machine_rate([sample(100, 5 * CORE)]) is None
        assert machine_rate([sample(100, 5 * CORE), sample(110, 10 * CORE)]) == Rate(CORE // 2, 10)

    def test_look_back_15_seconds_when_they_can(self) -> None:
        samples = [sample(100 + 10 * number, number * CORE) for number in range(5)]
        assert machine_rate([*samples, sample(150, 5 * CORE)]) == Rate(CORE // 10, 20)

    def test_a_clock_that_was_set_back(self) -> None:
        assert machine_rate([sample(200), sample(100)]) is None

    def test_a_young_container_began_at_nothing(self) -> None:
        young, old = container("young", 95), container("old", 10)
        counted = [(young, Counters(cpu=CORE)), (old, Counters(cpu=CORE))]
        samples = [sample(100, 0, counted)]
        assert container_rate(samples, young.id) == Rate(CORE // 5, 5)
        assert container_rate(samples, old.id) is None

    def test_a_container_that_ended(self) -> None:
        one = container("c", 10)
        samples = [sample(time, 0, [(one, Counters(cpu=CORE))]) for time in (100, 110)]
        assert container_rate(samples, one.id) == Rate(0, 10)
        assert container_rate([*samples, sample(120)], one.id) is None


class TestSummary:
    SAMPLES = [
        sample(100, CORE, [(container("c", 90), Counters(cpu=CORE)), (container(PAUSE, 90), Counters(cpu=0))]),
        sample(120, 3 * CORE, [
            (container("c", 90), Counters(cpu=2 * CORE, memory=50, working_set=40, rss=30, page_faults=7)),
            (container(PAUSE, 90), Counters(cpu=CORE // 10, memory=5, working_set=4)),
        ]),
    ]  # fmt: skip

    def test_of_the_node(self, tmp_path: Path) -> None:
        node = summary("agent1", MACHINE, tmp_path, self.SAMPLES).node
        assert (node.node_name, node.start_time) == ("agent1", "1970-01-01T00:16:40Z")
        assert node.cpu
        assert node.memory
        assert node.fs
        assert (node.cpu.usage_nano_cores, node.cpu.window_seconds) == (CORE // 10, 20.0)
        assert (node.memory.working_set_bytes, node.memory.available_bytes) == (200, (1 << 30) - 200)
        assert node.fs.capacity_bytes
        assert node.fs.used_bytes
        assert node.fs.capacity_bytes >= node.fs.used_bytes

    def test_of_a_pod_whose_pause_container_counts_in_the_sum_only(self, tmp_path: Path) -> None:
        (pod,) = summary("agent1", MACHINE, tmp_path, self.SAMPLES).pods
        assert (pod.pod_ref.namespace, pod.pod_ref.name, pod.pod_ref.uid) == ("default", "p", "uid of default/p")
        (only,) = pod.containers
        assert only.name == "c"
        assert only.cpu
        assert only.memory
        assert pod.cpu
        assert pod.memory
        assert (only.cpu.usage_nano_cores, only.memory.working_set_bytes) == (CORE // 20, 40)
        assert (pod.cpu.usage_nano_cores, pod.memory.working_set_bytes) == (CORE // 20 + CORE // 200, 44)
        assert only.memory.page_faults == 7

    def test_before_the_first_look(self, tmp_path: Path) -> None:
        found = summary("agent1", MACHINE, tmp_path / "absent", [])
        assert msgspec.to_builtins(found) == {"node": {"nodeName": "agent1", "startTime": ""}}

    def test_is_what_the_reader_reads(self, tmp_path: Path) -> None:
        made = summary("agent1", MACHINE, tmp_path, self.SAMPLES)
        assert msgspec.json.decode(msgspec.json.encode(made), type=Summary) == made


class TestTheWordsOf2015:
    def test_the_machine(self) -> None:
        assert cadvisor.machine_info(MACHINE)["num_cores"] == 2
        found = cadvisor.machine_stats(MACHINE, TestSummary.SAMPLES, 1)
        assert (found["name"], len(found["stats"])) == ("/", 1)
        assert found["stats"][0]["timestamp"] == "1970-01-01T00:02:00Z"
        assert found["stats"][0]["cpu"]["usage"]["total"] == 3 * CORE

    def test_everything_by_name(self) -> None:
        found = cadvisor.everything(MACHINE, TestSummary.SAMPLES, 60)
        assert sorted(found) == ["/", "/docker/default/p-POD", "/docker/default/p-c"]
        of_c = found["/docker/default/p-c"]["stats"]
        assert [one["cpu"]["usage"]["total"] for one in of_c] == [CORE, 2 * CORE]
        assert of_c[1]["memory"] == {
            "usage": 50, "working_set": 40, "hierarchical_data": {"pgfault": 7, "pgmajfault": 0}
        }  # fmt: skip


def test_the_page_for_prometheus() -> None:
    page = exposition.page(MACHINE, TestSummary.SAMPLES[-1])
    labels = 'container="c",id="default/p-c",namespace="default",pod="p"'
    assert f"container_cpu_usage_seconds_total{{{labels}}} 2\n" in page
    assert 'container_memory_working_set_bytes{id="/"} 200\n' in page
    assert "# TYPE container_cpu_usage_seconds_total counter\n" in page
    assert "machine_memory_bytes 1073741824\n" in page
    assert "kubelet_running_pod_count 1\nkubelet" not in page  # each has its HELP and TYPE lines
    assert "kubelet_running_container_count 2\n" in page
    assert "container_" not in exposition.page(MACHINE, None)


class TestOnATwin:
    """A hollow node's figures are what its programs are said to use."""

    @staticmethod
    def program(config: ContainerConfig) -> Program:
        return Program(cpu=250, memory=64 * MEGABYTE)

    async def test_figures_are_exact(self, tmp_path: Path) -> None:
        runtime = FakeRuntime("n1", program=self.program)
        async with one_node(runtime, tmp_path, housekeeping_seconds=0.1) as node:
            await node.create({"name": "c"})

            async def seen() -> Summary | None:
                found = self.summary(node)
                return found if found.pods and found.pods[0].containers else None

            found = await eventually(seen)
            (only,) = found.pods[0].containers
            assert only.cpu
            assert only.memory
            assert only.cpu.usage_nano_cores
            assert found.node.memory
            assert only.cpu.usage_nano_cores == pytest.approx(CORE // 4, rel=0.01)
            assert only.memory.working_set_bytes == 64 * MEGABYTE
            pause = found.pods[0].memory
            assert pause
            assert pause.working_set_bytes
            assert found.node.memory.working_set_bytes == IDLE_MEMORY + pause.working_set_bytes

    @staticmethod
    def summary(node: OneNode) -> Summary:
        stats = node.kubelet.stats
        return summary("n1", MACHINE, node.settings.root_dir, [*stats.samples])

    async def test_what_ended_stays_in_the_machine_s_sum(self) -> None:
        runtime = FakeRuntime("n1", program=self.program)
        stats = Stats(runtime, 10, Tracer("kubelet"))
        await stats.look()
        before = stats.samples[-1]
        made = await runtime.create(ContainerConfig(name="x", image="i", labels={}))
        await runtime.start(made)
        await asyncio.sleep(0.2)
        await runtime.signal(made, "SIGKILL")
        await stats.look()
        after = stats.samples[-1]
        assert not after.containers
        own = IDLE_CPU * 1_000_000 * (after.time - before.time)
        assert after.machine.cpu - before.machine.cpu - own >= 0.2 * CORE / 4 - 1000
        await runtime.close()

    async def test_ten_minutes_are_kept_and_a_runtime_that_is_down_is_lived_with(self) -> None:
        runtime = FakeRuntime("n1")
        stats = Stats(runtime, 0.001, Tracer("kubelet"))
        task = asyncio.create_task(stats.run())
        await eventually(lambda: len(stats.samples) == KEPT)
        runtime.down = True
        await asyncio.sleep(0.02)
        last = stats.samples[-1]
        runtime.down = False
        await eventually(lambda: stats.samples[-1].time > last.time)
        assert len(stats.samples) == KEPT
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
