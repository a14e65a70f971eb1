"""The kubelet on the twin of docker: the lives of pods, and of the kubelet itself."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from labkit.api.errors import NotFound
from labkit.api.types import Container, Node, Pod, PodStatus, SecurityContext, copy
from labkit.components.kubelet.act import refusal
from labkit.components.kubelet.fake import RUNS_ON, FakeRuntime, Program
from labkit.components.kubelet.runtime import PAUSE, ContainerConfig
from labkit.components.kubelet.settings import Settings
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import OneNode, one_node

PROGRAMS = {
    "exits": Program(exit_code=0), "fails": Program(exit_code=1), "broken": Program(broken="no such file"),
    "stubborn": Program(stubborn=True),
}  # fmt: skip


def program(config: ContainerConfig) -> Program:
    return PROGRAMS.get(config.command[0] if config.command else "", RUNS_ON)


@pytest.fixture
def fake() -> FakeRuntime:
    return FakeRuntime("n1", program=program)


@pytest.fixture
async def node(fake: FakeRuntime, tmp_path: Path) -> AsyncIterator[OneNode]:
    async with one_node(fake, tmp_path) as node:
        yield node


def running(status: PodStatus) -> bool:
    return status.phase == "Running" and all(c.ready for c in status.container_statuses)


def waiting(reason: str, count: int = 0) -> Callable[[PodStatus], bool]:
    def check(status: PodStatus) -> bool:
        states = [(c.state.waiting, c.restart_count) for c in status.container_statuses]
        return any(state and state.reason == reason and restarts >= count for state, restarts in states)

    return check


def message_of(status: PodStatus) -> str:
    (told,) = status.container_statuses
    return told.state.waiting.message if told.state.waiting else ""


class TestPods:
    async def test_a_pod_runs_and_goes(self, node: OneNode, tmp_path: Path) -> None:
        pod = await node.create(volumes=[{"name": "v", "emptyDir": {}}])
        status = await node.status(running)
        assert status.pod_ip.startswith("10.244.")
        assert status.host_ip == "127.0.0.1"
        directory = tmp_path / "pods" / pod.metadata.uid
        assert (directory / "volumes/kubernetes.io~empty-dir/v").is_dir()
        await node.client.delete(Pod, "p", "default", grace_period_seconds=5)
        await node.gone()
        await eventually(lambda: not directory.exists() and not node.kubelet.workers)

    async def test_the_events_of_a_life(self, node: OneNode) -> None:
        await node.create()
        await node.status(running)
        (pause,), (app,) = await node.containers(PAUSE), await node.containers("c")
        await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
        await node.gone()
        of_pause, of_app = "implicitly required container POD", "spec.containers{c}"
        told = [
            ("pulled", of_pause, 'Pod container image "pause" already present on machine'),
            ("created", of_pause, f"Created with docker id {pause.id}"),
            ("started", of_pause, f"Started with docker id {pause.id}"),
            ("created", of_app, f"Created with docker id {app.id}"),
            ("started", of_app, f"Started with docker id {app.id}"),
            ("killing", of_app, f"Killing {app.id}"),
            ("killing", of_pause, f"Killing {pause.id}"),
        ]

        async def look() -> bool:
            assert await node.events() == told
            return True

        await eventually(look)

    async def test_the_variables_of_the_services_that_exist(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.service("redis-master", clusterIP="10.0.0.11")
        await eventually(lambda: "default/redis-master" in node.kubelet.services.store)
        await node.create()
        await node.status(running)
        await node.service("late")
        env = [config.env for config in fake.configs() if config.network]
        assert len(env) == 1
        told = dict(env[0])
        assert told["REDIS_MASTER_PORT_6379_TCP_ADDR"] == "10.0.0.11"
        assert told["KUBERNETES_SERVICE_PORT"] == "443"
        assert not any(name.startswith("LATE") for name in told)

    @pytest.mark.parametrize(
        ("command", "policy", "phase"),
        [("exits", "Never", "Succeeded"), ("fails", "Never", "Failed"), ("exits", "OnFailure", "Succeeded")],
    )
    async def test_a_pod_that_ends(self, node: OneNode, command: str, policy: str, phase: str) -> None:
        await node.create({"command": [command]}, restartPolicy=policy)
        await node.status(lambda status: status.phase == phase)

        async def pause_ended() -> bool:
            return [c.state for c in await node.containers(PAUSE)] == ["exited"]

        await eventually(pause_ended, expect="nobody needs its address any more")
        assert len(await node.containers("c")) == 1

    async def test_a_container_that_crashes_backs_off(self, node: OneNode) -> None:
        await node.create({"command": ["fails"]})
        status = await node.status(waiting("CrashLoopBackOff", 1))
        (told,) = status.container_statuses
        assert status.phase == "Running"
        assert told.restart_count == 1  # the first restart was at once, the second waits 10 s
        assert told.last_state.terminated is not None
        assert told.last_state.terminated.exit_code == 1
        assert "Back-off 10s restarting failed container=c" in message_of(status)

    async def test_a_container_that_died_is_started_again(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.create()
        await node.status(running)
        fake.exit("p", "c", 7)
        status = await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1)
        last = status.container_statuses[0].last_state.terminated
        assert last is not None
        assert last.exit_code == 7

    async def test_a_command_that_does_not_exist(self, node: OneNode) -> None:
        await node.create({"command": ["broken"]})
        status = await node.status(waiting("RunContainerError", 1))
        assert status.phase == "Pending"
        failed = [message for reason, _, message in await node.events() if reason == "failed"]
        assert failed[0].startswith("Failed to start with docker id ")
        assert failed[0].endswith("with error: API error (400): no such file")

    async def test_a_dead_pause_container_rebuilds_the_pod(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.create()
        before = await node.status(running)
        fake.exit("p", PAUSE)
        after = await node.status(lambda s: running(s) and s.pod_ip not in ("", before.pod_ip))
        assert after.container_statuses[0].restart_count == 1
        assert [c.running for c in await node.containers(PAUSE)] == [True]

    async def test_containers_that_somebody_removed_are_made_again(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.create()
        await node.status(running)
        fake.forget("p")
        status = await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1)
        assert status.container_statuses[0].restart_count == 1

    async def test_a_changed_image_is_a_new_container(self, node: OneNode) -> None:
        pod = await node.create()
        await node.status(running)
        changed = copy(await node.client.get(Pod, "p", "default"))
        changed.spec.containers[0].image = "busybox:2"
        await node.client.update(changed)
        status = await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1)
        assert status.container_statuses[0].image == "busybox:2"
        assert [c.pod_uid for c in await node.containers("c") if c.running] == [pod.metadata.uid]

    async def test_a_stubborn_container_is_killed_after_its_grace_period(self, node: OneNode) -> None:
        await node.create({"command": ["stubborn"]})
        await node.status(running)
        await node.client.delete(Pod, "p", "default", grace_period_seconds=1)
        assert (await node.client.get(Pod, "p", "default")).metadata.deletion_timestamp
        await node.gone()

    async def test_a_pod_goes_once(self, node: OneNode, capsys: pytest.CaptureFixture[str]) -> None:
        """Our own last writes about it, seen on the watch, do not bring its worker back."""
        await node.create()
        await node.status(running)
        await node.client.delete(Pod, "p", "default", grace_period_seconds=5)
        await node.gone()
        await eventually(lambda: "default/p" not in node.kubelet.pods.store and not node.kubelet.workers)
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len([line for line in told if line.get("decision") == "pod is gone"]) == 1

    async def test_a_pod_that_is_made_again_under_its_name(self, node: OneNode) -> None:
        first = await node.create()
        await node.status(running)
        await node.client.delete(Pod, "p", "default", grace_period_seconds=0)
        second = await node.create()
        assert first.metadata.uid != second.metadata.uid
        await node.status(running)

        async def only_the_second() -> bool:
            return {c.pod_uid for c in await node.containers("c")} == {second.metadata.uid}

        await eventually(only_the_second)


class TestImages:
    async def test_an_image_is_pulled_when_it_is_absent(self, node: OneNode, fake: FakeRuntime) -> None:
        fake.absent, fake.pullable = {"redis", "pause"}, {"redis", "pause"}
        await node.create({"image": "redis"})
        await node.status(running)
        pulled = [(path, message) for reason, path, message in await node.events() if reason == "pulled"]
        assert pulled == [
            ("implicitly required container POD", 'Successfully pulled image "pause"'),
            ("spec.containers{c}", 'Successfully pulled image "redis"'),
        ]

    async def test_one_that_cannot_be_had(self, node: OneNode, fake: FakeRuntime) -> None:
        fake.absent = {"nope"}
        await node.create({"image": "nope"})
        status = await node.status(waiting("ErrImagePull"))
        message = 'Failed to pull image "nope": pull access denied for nope, repository does not exist'
        assert status.phase == "Pending"
        assert message_of(status) == message
        await node.told("failed", "spec.containers{c}", message)

    async def test_another_pod_does_not_wait_for_a_slow_pull(self, node: OneNode, fake: FakeRuntime) -> None:
        fake.absent = fake.never_ending = {"slow"}
        await node.create({"image": "slow"}, name="slow")
        await node.status(waiting("ContainerCreating"), "slow")
        await node.create()
        await node.status(running)
        await node.client.delete(Pod, "slow", "default", grace_period_seconds=0)
        await node.gone("slow")  # and can be deleted while it pulls

    async def test_never_means_never(self, node: OneNode, fake: FakeRuntime) -> None:
        fake.absent = fake.pullable = {"absent"}
        await node.create({"image": "absent", "imagePullPolicy": "Never"})
        await node.status(waiting("no such image"))
        error = "Failed to create docker container with error: no such image"
        await node.told("failed", "spec.containers{c}", error)

    async def test_a_corrected_image_is_tried_at_once(self, node: OneNode, fake: FakeRuntime) -> None:
        fake.absent = {"nope"}
        await node.create({"image": "nope"})
        await node.status(waiting("ErrImagePull"))
        corrected = copy(await node.client.get(Pod, "p", "default"))
        corrected.spec.containers[0].image = "redis"
        await node.client.update(corrected)
        await node.status(running)


class TestRefusals:
    async def test_a_volume_that_cannot_be_mounted(self, node: OneNode) -> None:
        await node.create(volumes=[{"name": "m", "rbd": {"monitors": ["s"], "image": "i", "fsType": "ext4"}}])
        status = await node.status(lambda s: waiting("ContainerCreating")(s) and message_of(s))
        why = 'volume "m": rbd is of a kind that this kubelet does not mount'
        assert why in message_of(status)
        assert (await node.events())[0][0] == "failedMount"
        assert (await node.events())[0][2].startswith(
            f'Unable to mount volumes for pod "p_default": {why}: use emptyDir'
        )
        await node.create(name="other")
        await node.status(running, "other")

    @pytest.mark.cis("5.2.1", "5.2.2")
    def test_privileged(self) -> None:
        """By default, and on a machine that is itself not allowed everything."""
        spec = Container(name="c", security_context=SecurityContext(privileged=True))
        assert "--allow-privileged=false" in refusal(spec, Settings(node="n"))
        limited = Settings(node="n", allow_privileged=True, capabilities_missing=frozenset({24}))
        assert "lacks capabilities [24]" in refusal(spec, limited)
        assert refusal(spec, Settings(node="n", allow_privileged=True)) == ""
        assert refusal(Container(name="c"), Settings(node="n")) == ""


class TestProbes:
    async def test_not_ready_until_its_probe_passes(self, node: OneNode, fake: FakeRuntime) -> None:
        probe = {"exec": {"command": ["sh", "-c", "exit 1"]}, "periodSeconds": 1}
        await node.create({"readinessProbe": probe})
        await node.status(lambda s: s.phase == "Running" and not s.container_statuses[0].ready)

        async def told() -> bool:
            return ("unhealthy", "spec.containers{c}", "Readiness probe failed: ") in await node.events()

        await eventually(told)
        assert len(await node.containers("c")) == 1  # final v1: it is only not ready, 0.18.2 restarted it
        await node.create({"readinessProbe": {"exec": {"command": ["echo"]}}}, name="ready")
        await node.status(running, "ready")

    async def test_a_failed_liveness_probe_restarts(self, node: OneNode) -> None:
        probe = {"exec": {"command": ["sh", "-c", "exit 1"]}, "initialDelaySeconds": 1, "periodSeconds": 60}
        await node.create({"livenessProbe": probe})
        await node.status(lambda s: s.container_statuses and s.container_statuses[0].restart_count == 1)
        reasons = [reason for reason, _, _ in await node.events()]
        assert reasons.index("unhealthy") < reasons.index("killing")


class TestKubelet:
    async def test_it_comes_back_and_finds_its_pods_running(self, node: OneNode) -> None:
        await node.create()
        await node.status(running)
        before = {c.id for c in await node.runtime.containers()}
        version = (await node.client.get(Pod, "p", "default")).metadata.resource_version
        await node.end_kubelet()
        assert {c.state for c in await node.runtime.containers()} == {"running"}
        node.start_kubelet()
        await eventually(lambda: len(node.kubelet.workers) == 1)
        worker = next(iter(node.kubelet.workers.values()))
        await eventually(lambda: len(worker.seen) == 2)
        assert {c.id for c in await node.runtime.containers()} == before
        assert (await node.client.get(Pod, "p", "default")).metadata.resource_version == version  # nothing to write

    async def test_what_happened_while_it_was_away(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.create(name="deleted", volumes=[{"name": "v", "emptyDir": {}}])
        await node.create(name="crashed")
        for name in ("deleted", "crashed"):
            await node.status(running, name)
        await node.end_kubelet()
        await node.client.delete(Pod, "deleted", "default", grace_period_seconds=0)
        fake.exit("crashed", "c", 1)
        node.start_kubelet()
        await node.gone("deleted")
        await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1, "crashed")
        await eventually(lambda: len(node.kubelet.volumes.pods()) == 1)

    async def test_directories_of_pods_that_are_no_more(self, node: OneNode, tmp_path: Path) -> None:
        orphaned = tmp_path / "pods" / "long-gone" / "volumes"
        orphaned.mkdir(parents=True)
        await eventually(lambda: not orphaned.parent.exists())

    async def test_a_restart_of_docker(self, node: OneNode, fake: FakeRuntime) -> None:
        """All containers end; when docker is back, each pod is rebuilt under its own name."""
        for name in ("a", "b"):
            await node.create(name=name)
            await node.status(running, name)
        fake.stop()
        fake.restart()
        for name in ("a", "b"):
            await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1, name)
        assert len([c for c in await node.runtime.containers() if c.running]) == 4

    async def test_an_event_that_was_missed_is_made_up_for(self, node: OneNode, fake: FakeRuntime) -> None:
        await node.create()
        await node.status(running)
        fake.mute = True
        fake.exit("p", "c")
        await node.status(lambda s: running(s) and s.container_statuses[0].restart_count == 1)

    async def test_a_status_that_somebody_else_wrote_is_put_right(self, node: OneNode) -> None:
        await node.create()
        await node.status(running)
        wrong = copy(await node.client.get(Pod, "p", "default"))
        wrong.status.pod_ip = "192.0.2.1"
        await node.client.update_status(wrong)
        await node.status(lambda s: s.pod_ip.startswith("10.244."))


class TestNode:
    async def test_it_registers_and_reports(self, node: OneNode) -> None:
        await eventually(lambda: _ready(node))
        found = await node.client.get(Node, "n1")
        assert found.metadata.labels == {"kubernetes.io/hostname": "n1"}
        assert int(str(found.status.capacity["pods"])) == 100

        async def told() -> bool:
            return [reason for reason, _, _ in await node.events("n1")] == ["starting", "NodeReady"]

        await eventually(told)

    async def test_a_node_that_is_there_is_adopted(self, fake: FakeRuntime, tmp_path: Path) -> None:
        async with one_node(fake, tmp_path, labels={"disk": "ssd"}, node_status_seconds=0.2) as node:
            await eventually(lambda: _ready(node))
            await node.end_kubelet()
            found = await node.client.get(Node, "n1")
            found.metadata.labels = {"mine": "stays"}
            found.spec.unschedulable = True
            await node.client.update(found)
            node.start_kubelet()

            async def labelled() -> bool:
                found = await node.client.get(Node, "n1")
                wanted = {"mine": "stays", "disk": "ssd", "kubernetes.io/hostname": "n1"}
                return found.metadata.labels == wanted and found.spec.unschedulable is True

            await eventually(labelled)

    async def test_it_is_not_ready_while_docker_is_down(self, fake: FakeRuntime, tmp_path: Path) -> None:
        async with one_node(fake, tmp_path, node_status_seconds=0.1) as node:
            await eventually(lambda: _ready(node))
            assert node.kubelet.trouble() == ""
            fake.stop()

            async def not_ready() -> bool:
                return await _ready(node) == ""

            await eventually(not_ready)
            assert node.kubelet.trouble() == "container runtime is down"
            fake.restart()
            await eventually(lambda: _ready(node))


async def _ready(node: OneNode) -> str:
    """The reason of a node that is Ready."""
    try:
        found = await node.client.get(Node, "n1")
    except NotFound:
        return ""
    return next((c.reason for c in found.status.conditions if c.type == "Ready" and c.status == "True"), "")
