"""What every container runtime must do: tests/unit runs it on FakeRuntime, tests/node on docker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from labkit.components.kubelet import runtime as labels
from labkit.components.kubelet.fake import Program
from labkit.components.kubelet.process import STDERR, STDOUT, Process, Wanted
from labkit.components.kubelet.runtime import (
    PAUSE,
    Container,
    ContainerConfig,
    ContainerEvent,
    LogOptions,
    NoSuchContainer,
    NoSuchImage,
    Runtime,
    RuntimeFailure,
    Sample,
    container_name,
)
from labkit.testing.eventually import eventually
from labkit.upgrade import close

ABSENT = "127.0.0.1:1/absent:1"  # a registry that nobody answers for

# What the containers of the contract run, and what the twin makes of it.
PROGRAMS = {
    ("sleep", "1000"): Program(stubborn=True),  # as process 1 it has no handler for SIGTERM
    ("sh", "-c", "trap 'exit 143' TERM; while true; do sleep 0.1; done"): Program(),
    ("sh", "-c", "echo one; echo two; exit 3"): Program(output=("one", "two"), exit_code=3),
    ("sh", "-c", "echo one; sleep 1; exit 0"): Program(output=("one",), exit_code=0, seconds=1.0),
    ("sh", "-c", "head -c 3000000 /dev/zero > /big; sleep 1000"): Program(writes=3_000_000, stubborn=True),
    ("cat",): Program(echoes=True),
    ("sh", "-c", "while true; do true; done"): Program(cpu=900),
    ("nc", "-ll", "-p", "7000", "-e", "cat"): Program(echo_port=7000),
    ("/no/such",): Program(broken='exec: "/no/such": stat /no/such: no such file or directory'),
}
STUBBORN, GENTLE, ENDS, SHORT, WRITES, CAT, BUSY, ECHO, BROKEN = PROGRAMS


def program(config: ContainerConfig) -> Program:
    return PROGRAMS[config.command]


def config(image: str, node: str, uid: str, name: str = "c", **fields: object) -> ContainerConfig:
    pod = "kubelet-test/p"
    told = {
        labels.POD: pod, labels.POD_UID: uid, labels.CONTAINER: name, labels.HASH: "00c0ffee", labels.ATTEMPT: "2",
        labels.BACKOFF: "20", labels.GRACE: "7", labels.NODE: node,
    }  # fmt: skip
    chosen: dict[str, object] = {"image": image, "command": () if name == PAUSE else STUBBORN} | fields
    return ContainerConfig(name=container_name(name, "00c0ffee", pod, uid), labels=told, **chosen)  # type: ignore[arg-type]


@asynccontextmanager
async def listening(runtime: Runtime) -> AsyncIterator[list[ContainerEvent]]:
    """The events that arrive inside the block."""
    events: list[ContainerEvent] = []

    async def listen() -> None:
        async with aclosing(runtime.events()) as stream:
            async for event in stream:
                events.append(event)

    task = asyncio.create_task(listen())
    await eventually(lambda: events == [ContainerEvent("connected")])
    yield events
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def printed(process: Process) -> list[tuple[int, bytes]]:
    """All it prints, until it ends; what comes from one stream in a row is put together."""
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(15):
        async for stream, data in process.output():
            if found and found[-1][0] == stream:
                data = found.pop()[1] + data
            found.append((stream, data))
    return found


class RuntimeContract:
    """Mixed into a test class whose module has the fixtures `runtime`, `image`, `pause_image`, `node` and `uid`."""

    async def one(self, runtime: Runtime, container_id: str) -> Container:
        return next(c for c in await runtime.containers() if c.id == container_id)

    async def ended(self, runtime: Runtime, container_id: str) -> Container:
        async def look() -> Container | None:
            seen = await self.one(runtime, container_id)
            return seen if seen.died else None

        return await eventually(look, within=15)

    async def run(self, runtime: Runtime, wanted: ContainerConfig) -> str:
        made = await runtime.create(wanted)
        await runtime.start(made)
        return made

    async def test_says_its_version(self, runtime: Runtime) -> None:
        assert "://" in await runtime.version()

    async def test_a_container_carries_what_it_was_told(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        before = time.time() - 1
        made = await runtime.create(config(image, node, uid))
        created = await self.one(runtime, made)
        assert (created.state, created.died, created.running) == ("created", False, False)
        await runtime.start(made)
        seen = await self.one(runtime, made)
        assert (seen.name, seen.pod, seen.pod_uid, seen.state) == ("c", "kubelet-test/p", uid, "running")
        assert (seen.hash, seen.attempt, seen.backoff, seen.grace) == ("00c0ffee", 2, 20.0, 7)
        assert (seen.image, seen.image_id) == (image, await runtime.image(image))
        assert before < seen.created <= seen.started < time.time() + 1
        assert seen.finished == 0

    async def test_the_pause_container_has_the_address_and_others_join_it(
        self, runtime: Runtime, image: str, pause_image: str, node: str, uid: str
    ) -> None:
        pause = await self.run(runtime, config(pause_image, node, uid, PAUSE, hostname="p"))
        joined = await self.run(runtime, config(image, node, uid, network=pause, ipc=pause))
        assert (await self.one(runtime, pause)).ip.count(".") == 3
        seen = await self.one(runtime, joined)
        assert (seen.running, seen.ip) == (True, "")

    async def test_nobody_joins_a_pause_container_that_ended(
        self, runtime: Runtime, image: str, pause_image: str, node: str, uid: str
    ) -> None:
        pause = await self.run(runtime, config(pause_image, node, uid, PAUSE))
        await runtime.signal(pause, "SIGKILL")
        await self.ended(runtime, pause)
        late = await runtime.create(config(image, node, uid, network=pause))
        with pytest.raises(RuntimeFailure):
            await runtime.start(late)

    async def test_images_are_listed_and_those_in_use_stay(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        found = {each.id: each for each in await runtime.images()}
        used = found[await runtime.image(image)]
        assert used.size > 0
        assert image in used.names
        await runtime.create(config(image, node, uid))
        with pytest.raises(RuntimeFailure):
            await runtime.remove_image(used.id)
        assert used.id in {each.id for each in await runtime.images()}
        await runtime.remove_image("sha256:" + "0" * 64)  # gone already

    async def test_disk_space(self, runtime: Runtime) -> None:
        disk = await runtime.disk()
        assert 0 < disk.available < disk.capacity
        assert disk.used == disk.capacity - disk.available

    async def test_what_a_container_wrote(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        quiet = await self.run(runtime, config(image, node, uid))
        loud = await self.run(runtime, config(image, node, uid, "loud", command=WRITES))

        async def measured() -> bool:
            written = await runtime.written()
            return written[loud] >= 3_000_000 and written[quiet] < 100_000

        await eventually(measured, within=15)

    async def test_an_ended_container_keeps_its_exit_code(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        made = await self.run(runtime, config(image, node, uid, command=ENDS))
        seen = await self.ended(runtime, made)
        assert (seen.state, seen.exit_code, seen.error) == ("exited", 3, "")
        # docker writes down the start after it: a short life may seem to have ended before it began
        assert seen.started - 1 < seen.finished < time.time() + 1

    async def test_a_command_that_does_not_exist_leaves_its_error(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        made = await runtime.create(config(image, node, uid, command=BROKEN))
        with pytest.raises(RuntimeFailure, match="/no/such"):
            await runtime.start(made)
        seen = await self.one(runtime, made)
        assert (seen.state, seen.died, seen.exit_code) == ("created", True, 127)
        assert "/no/such" in seen.error

    async def test_a_name_is_taken_once(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        wanted = config(image, node, uid)
        await runtime.create(wanted)
        with pytest.raises(RuntimeFailure, match="already in use"):
            await runtime.create(wanted)

    async def test_absent_images(self, runtime: Runtime, node: str, uid: str) -> None:
        with pytest.raises(NoSuchImage):
            await runtime.image(ABSENT)
        with pytest.raises(NoSuchImage):
            await runtime.create(config(ABSENT, node, uid))
        with pytest.raises(RuntimeFailure):
            await runtime.pull(ABSENT)

    async def test_sigterm_lets_it_end_by_itself(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid, command=GENTLE))
        await asyncio.sleep(0.3)  # the shell needs a moment to set its trap
        await runtime.signal(made, "SIGTERM")
        assert (await self.ended(runtime, made)).exit_code == 143

    async def test_sigkill_ends_what_ignores_sigterm(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid, command=STUBBORN))
        await runtime.signal(made, "SIGTERM")
        assert (await self.one(runtime, made)).running
        await runtime.signal(made, "SIGKILL")
        assert (await self.ended(runtime, made)).exit_code == 137
        await runtime.signal(made, "SIGKILL")  # it has ended: no error

    async def test_remove(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        with pytest.raises(RuntimeFailure, match=r"(?i)running container"):
            await runtime.remove(made)
        await runtime.signal(made, "SIGKILL")
        await self.ended(runtime, made)
        await runtime.remove(made)
        assert await runtime.containers(uid) == []
        await runtime.remove(made)
        await runtime.signal(made, "SIGTERM")
        with pytest.raises(NoSuchContainer):
            await runtime.start(made)

    async def test_the_containers_of_one_pod_oldest_first(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        first = await runtime.create(config(image, node, uid, "a"))
        other = await runtime.create(config(image, node, uid + "x", "b"))
        second = await runtime.create(config(image, node, uid, "b"))
        assert [c.id for c in await runtime.containers(uid)] == [first, second]
        assert {c.id for c in await runtime.containers()} == {first, other, second}

    async def test_events_of_a_life(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        async with listening(runtime) as events:
            made = await self.run(runtime, config(image, node, uid, command=ENDS))
            await self.ended(runtime, made)
            await runtime.remove(made)
            await eventually(lambda: len(events) == 4)
        assert events[1:] == [ContainerEvent(what, made, uid) for what in ("start", "die", "destroy")]

    async def test_what_events_told_is_seen(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        """A container that was looked at while it ran is looked at again once it has died."""
        async with listening(runtime) as events:
            made = await self.run(runtime, config(image, node, uid, command=SHORT))
            assert (await self.one(runtime, made)).running
            await eventually(lambda: ContainerEvent("die", made, uid) in events)
            assert (await self.one(runtime, made)).state == "exited"

    async def test_logs(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid, command=ENDS))
        await self.ended(runtime, made)

        async def logs(options: LogOptions) -> str:
            return b"".join([chunk async for chunk in runtime.logs(made, options)]).decode()

        assert await logs(LogOptions()) == "one\ntwo\n"
        assert await logs(LogOptions(follow=True)) == "one\ntwo\n"
        assert await logs(LogOptions(tail=1)) == "two\n"
        assert await logs(LogOptions(tail=0)) == ""
        assert await logs(LogOptions(since=time.time() + 60)) == ""
        stamps = [line.split(" ")[0] for line in (await logs(LogOptions(timestamps=True))).splitlines()]
        assert len(stamps) == 2
        assert all(text.startswith("20") and text.endswith("Z") for text in stamps)
        with pytest.raises(NoSuchContainer):
            await anext(runtime.logs("0" * 64, LogOptions()))

    async def test_followed_logs_end_with_the_container(
        self, runtime: Runtime, image: str, node: str, uid: str
    ) -> None:
        made = await self.run(runtime, config(image, node, uid, command=SHORT))
        async with asyncio.timeout(15):
            chunks = [chunk async for chunk in runtime.logs(made, LogOptions(follow=True))]
        assert b"".join(chunks) == b"one\n"

    async def test_followed_logs_can_be_left(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), aclosing(runtime.logs(made, LogOptions(follow=True))) as logs:
                await anext(logs)
        assert (await self.one(runtime, made)).running

    async def test_execute(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        result = await runtime.execute(made, ["echo", "hello", "there"], 10)
        assert (result.exit_code, result.output) == (0, "hello there\n")
        assert (await runtime.execute(made, ["sh", "-c", "exit 4"], 10)).exit_code == 4
        with pytest.raises(TimeoutError):
            await runtime.execute(made, ["sleep", "30"], 0.5)
        await runtime.signal(made, "SIGKILL")
        await self.ended(runtime, made)
        with pytest.raises(RuntimeFailure):
            await runtime.execute(made, ["echo"], 10)

    async def test_exec_and_its_exit_code(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        for command, output, code in ((["echo", "hello"], [(STDOUT, b"hello\n")], 0), (["sh", "-c", "exit 4"], [], 4)):
            process = await runtime.exec(made, command, Wanted())
            assert (await printed(process), await process.exit_code()) == (output, code)
            await process.close()

    async def test_exec_reads_its_stdin_to_the_end(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        for command, stream in ((["cat"], STDOUT), (["sh", "-c", "cat >&2"], STDERR)):
            process = await runtime.exec(made, command, Wanted(stdin=True))
            await process.write(b"one ")
            await process.write(b"two")
            await process.end_input()
            assert (await printed(process), await process.exit_code()) == ([(stream, b"one two")], 0)
            await process.close()

    async def test_exec_with_a_terminal(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        process = await runtime.exec(made, ["cat"], Wanted(stdin=True, tty=True))
        await process.resize(100, 30)
        await process.write(b"typed\n")
        stream, data = await anext(process.output())
        assert (stream, data[:5]) == (STDOUT, b"typed")
        await process.close()

    async def test_exec_can_be_left(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid))
        process = await runtime.exec(made, ["sleep", "30"], Wanted())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(process.output())
        await process.close()
        assert (await self.one(runtime, made)).running

    async def test_no_exec_in_what_does_not_run(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await runtime.create(config(image, node, uid))
        with pytest.raises(RuntimeFailure, match="not running"):
            await runtime.exec(made, ["echo"], Wanted())
        with pytest.raises(NoSuchContainer):
            await runtime.exec("0" * 64, ["echo"], Wanted())
        with pytest.raises(NoSuchContainer):
            await runtime.attach("0" * 64, Wanted())

    async def test_attach(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        made = await self.run(runtime, config(image, node, uid, command=CAT, stdin=True))
        process = await runtime.attach(made, Wanted(stdin=True))
        await process.write(b"hello")
        await process.end_input()
        assert (await printed(process), await process.exit_code()) == ([(STDOUT, b"hello")], 0)
        await process.close()
        assert (await self.ended(runtime, made)).exit_code == 0

    async def test_port_forward(self, runtime: Runtime, image: str, pause_image: str, node: str, uid: str) -> None:
        pause = await self.run(runtime, config(pause_image, node, uid, PAUSE))
        await self.run(runtime, config(image, node, uid, network=pause, command=ECHO))

        async def answers() -> bool:
            try:
                reader, writer = await runtime.port_forward(pause, 7000)
            except RuntimeFailure:
                return False  # it does not listen yet
            writer.write(b"there and back")
            assert await reader.readexactly(14) == b"there and back"
            writer.write_eof()
            assert await reader.read() == b""
            await close(writer)
            return True

        await eventually(answers, within=10)
        with pytest.raises(RuntimeFailure, match="port 7001 of the pod"):
            await runtime.port_forward(pause, 7001)

    async def test_usage_of_what_runs_now(self, runtime: Runtime, image: str, node: str, uid: str) -> None:
        busy = await self.run(runtime, config(image, node, uid, "busy", command=BUSY))
        idle = await self.run(runtime, config(image, node, uid, "idle"))
        ended = await self.run(runtime, config(image, node, uid, "ended", command=ENDS))
        await self.ended(runtime, ended)
        first = await runtime.usage()
        assert set(first.containers) == {busy, idle}

        async def half_a_second_of_work() -> Sample | None:
            now = await runtime.usage()
            worked = now.containers[busy].counters.cpu - first.containers[busy].counters.cpu
            return now if worked > 500_000_000 else None

        now = await eventually(half_a_second_of_work, within=20)
        used, rested = now.containers[busy].counters, now.containers[idle].counters
        assert now.containers[busy].container.name == "busy"
        assert (now.time - first.time) * 1e9 > used.cpu - first.containers[busy].counters.cpu
        assert rested.cpu - first.containers[idle].counters.cpu < 100_000_000
        assert 0 < used.working_set <= used.memory
        assert 0 < rested.working_set <= rested.memory
        assert now.machine.cpu >= used.cpu + rested.cpu
        assert now.machine.working_set >= used.rss + rested.rss
