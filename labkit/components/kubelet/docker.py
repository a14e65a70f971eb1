"""Docker as the kubelet's container runtime: docker-py's low-level calls, each in a thread, some at a time.

docker-py blocks and its sessions are not meant for several threads, so each thread has a client of its own; the API
version is negotiated once and then pinned. What docker tells of an ended container never changes, and a running one
changes only with an event: both are inspected once and remembered.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from docker.api.client import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound, StreamParseError
from docker.transport import UnixHTTPAdapter
from docker.utils import parse_repository_tag

from labkit.components.kubelet import disk_quota, pod_network, runtime
from labkit.components.kubelet.cgroups import Cgroups, Gone, look
from labkit.components.kubelet.credentials import Credentials
from labkit.components.kubelet.docker_process import DockerProcess, open_streams
from labkit.components.kubelet.docker_words import container_of, create_arguments, shares_of
from labkit.components.kubelet.exec_ending import end_command
from labkit.components.kubelet.own_groups import OwnGroups
from labkit.components.kubelet.process import Process, Wanted
from labkit.components.kubelet.runtime import (
    Connection,
    Container,
    ContainerConfig,
    ContainerEvent,
    Disk,
    ExecResult,
    Image,
    LogOptions,
    NoSuchContainer,
    NoSuchImage,
    Resources,
    RuntimeFailure,
    RuntimeUnavailable,
    Sample,
)
from labkit.components.kubelet.streams import read_in_thread

T = TypeVar("T")

CALL_SECONDS = 120
PULL_STALLED_SECONDS = 300
CONNECT_SECONDS = 10
EXIT_CODE_SECONDS = 5
_FAULTS = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, StreamParseError, OSError)
_EVENTS = ["start", "die", "destroy", "oom"]


class Docker:
    """The containers of one node on one docker. Another kubelet on the same docker has another node name."""

    def __init__(self, endpoint: str, node: str, *, parallel: int = 6) -> None:
        self._endpoint = endpoint
        self._node = node
        self._api_version = ""
        self._local = threading.local()
        self._clients: list[APIClient] = []
        self._slots = asyncio.Semaphore(parallel)
        self._inspected: dict[str, tuple[str, Container]] = {}
        self._groups = OwnGroups(node)
        self._groups_wanted: bool | None = None
        self._quota: bool | None = None
        self._info: dict[str, Any] | None = None

    # -- the Runtime ----------------------------------------------------------------------------------------

    async def version(self) -> str:
        found = await self._call(lambda api: api.version())
        return f"docker://{found['Version']}"

    async def containers(self, pod_uid: str = "") -> list[Container]:
        found = await self._call(lambda api: self._list(api, pod_uid))
        return sorted(found, key=lambda container: container.created)

    async def image(self, name: str) -> str:
        found: dict[str, Any] = await self._call(lambda api: api.inspect_image(name))  # type: ignore[no-untyped-call]
        return str(found["Id"])

    async def images(self) -> list[Image]:
        rows = await self._call(lambda api: api.images())
        return [Image(row["Id"], tuple(row["RepoTags"] or ()), row["Size"]) for row in rows]

    async def remove_image(self, image_id: str) -> None:
        def remove(api: APIClient) -> None:
            names = api.inspect_image(image_id)["RepoTags"] or [image_id]  # type: ignore[no-untyped-call]
            for name in names:
                api.remove_image(name)

        try:
            await self._call(remove)
        except NoSuchImage:
            pass

    async def disk(self) -> Disk:
        def look(api: APIClient) -> Disk:
            place = os.statvfs(self._about(api)["DockerRootDir"])
            return Disk(place.f_blocks * place.f_frsize, place.f_bavail * place.f_frsize)

        return await self._call(look)

    async def written(self) -> dict[str, int]:
        labels = {"label": f"{runtime.NODE}={self._node}"}
        rows = await self._call(lambda api: api.containers(size=True, filters=labels))
        return {row["Id"]: row.get("SizeRw", 0) for row in rows}

    async def pull(self, name: str, login: Credentials | None = None) -> None:
        repository, tag = parse_repository_tag(name)
        who = {"username": login.username, "password": login.password} if login else {}
        steps = self._stream(
            lambda api: api.pull(repository, tag=tag or "latest", stream=True, decode=True, auth_config=who)
        )
        async with aclosing(steps):
            while True:
                try:
                    async with asyncio.timeout(PULL_STALLED_SECONDS):
                        step = await anext(steps, None)
                except TimeoutError as exc:
                    raise RuntimeFailure(f"no progress for {PULL_STALLED_SECONDS} s") from exc
                if step is None:
                    return
                if "error" in step:
                    raise RuntimeFailure(str(step["error"]))

    async def create(self, config: ContainerConfig) -> str:
        made = await self._call(lambda api: self._create(api, config))
        return str(made["Id"])

    def _create(self, api: APIClient, config: ContainerConfig) -> Any:
        parent = self._own_group(api, config.resources)
        quota = disk_quota.bound(config.resources.disk) if self._has_quota(api) else 0
        try:
            return api.create_container(**create_arguments(api, config, parent, quota))
        except Exception as exc:
            self._groups.remove(parent)
            if not quota or "storage-opt" not in str(exc):
                raise
            self._quota = False  # it only looked as if there were one
            return self._create(api, config)

    def _has_quota(self, api: APIClient) -> bool:
        if self._quota is None:
            self._quota = disk_quota.is_there(self._about(api), Path("/proc/self/mountinfo").read_text())
        return self._quota

    def _own_group(self, api: APIClient, wanted: Resources) -> str:
        """The group around a container that has a bound, "" where there can be none."""
        if self._groups_wanted is None:
            about = self._about(api)
            driver, version = about.get("CgroupDriver"), about.get("CgroupVersion", "1")
            same_way = (driver, version) == ("cgroupfs", self._groups.version)
            self._groups_wanted = same_way and self._groups.usable()
        try:
            is_bounded = wanted.memory or wanted.pids
            return self._groups.make(wanted, shares_of(wanted)) if is_bounded and self._groups_wanted else ""
        except OSError:  # groups that only look as if they could be made: then docker's word has to do
            self._groups_wanted = False
            return ""

    def _about(self, api: APIClient) -> dict[str, Any]:
        """docker info; what is asked of it here does not change while docker runs, nor with the next docker."""
        if self._info is None:
            self._info = api.info()
        return self._info

    async def start(self, container_id: str) -> None:
        await self._call(lambda api: api.start(container_id))

    async def signal(self, container_id: str, signal: str) -> None:
        def send(api: APIClient) -> None:
            wished = signal
            if signal == "SIGTERM":
                wished = api.inspect_container(container_id)["Config"].get("StopSignal") or signal
            api.kill(container_id, wished)

        try:
            await self._call(send)
        except NoSuchContainer:
            pass
        except RuntimeFailure as exc:
            if "is not running" not in str(exc):
                raise

    async def remove(self, container_id: str) -> None:
        try:
            await self._call(lambda api: api.remove_container(container_id, v=True))
        except NoSuchContainer:
            pass
        except RuntimeFailure as exc:
            if "already in progress" not in str(exc):
                raise
        _, known = self._inspected.pop(container_id, ("", None))
        if known is not None:
            self._groups.remove(known.cgroup_parent)

    async def execute(self, container_id: str, command: list[str], timeout: float) -> ExecResult:
        chunks: list[bytes] = []
        async with asyncio.timeout(timeout):
            process = await self.exec(container_id, command, Wanted())
            try:
                async for _, data in process.output():
                    chunks.append(data)
                return ExecResult(await process.exit_code(), b"".join(chunks).decode(errors="replace"))
            finally:
                await process.close()

    async def exec(self, container_id: str, command: list[str], wanted: Wanted) -> Process:
        made = await self._call(
            lambda api: api.exec_create(
                container_id, command, stdin=wanted.stdin, stdout=wanted.stdout, stderr=wanted.stderr, tty=wanted.tty
            )
        )
        start = {"Detach": False, "Tty": wanted.tty}
        streams = await open_streams(self._endpoint, f"/v{self._api_version}/exec/{made['Id']}/start", start)

        async def resize(width: int, height: int) -> None:
            await self._call(lambda api: api.exec_resize(made["Id"], height, width))

        async def end() -> None:
            if self._endpoint.startswith("unix://"):
                await end_command(lambda: self._call(lambda api: api.exec_inspect(made["Id"])))

        return DockerProcess(*streams, wanted, resize, lambda: self._exit_code(made["Id"]), end)

    async def _exit_code(self, exec_id: str) -> int:
        """The output of a command ends a moment before docker notes how it ended."""
        async with asyncio.timeout(EXIT_CODE_SECONDS):
            while True:
                found = await self._call(lambda api: api.exec_inspect(exec_id))
                if not found["Running"]:
                    return int(found["ExitCode"] or 0)
                await asyncio.sleep(0.02)

    async def attach(self, container_id: str, wanted: Wanted) -> Process:
        shown = (await self._call(lambda api: api.inspect_container(container_id)))["Config"]
        real = replace(wanted, stdin=wanted.stdin and shown["OpenStdin"], tty=shown["Tty"])
        asked = {"stream": 1, "stdin": real.stdin, "stdout": real.stdout, "stderr": real.stderr and not real.tty}
        query = "&".join(f"{name}={int(value)}" for name, value in asked.items())
        streams = await open_streams(self._endpoint, f"/v{self._api_version}/containers/{container_id}/attach?{query}")

        async def resize(width: int, height: int) -> None:
            await self._call(lambda api: api.resize(container_id, height, width))

        async def no_exit_code() -> int:
            return 0

        return DockerProcess(*streams, real, resize, no_exit_code)

    async def port_forward(self, pause_id: str, port: int) -> Connection:
        shown = await self._call(lambda api: api.inspect_container(pause_id))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await pod_network.connect(shown["State"]["Pid"], port)
        except (OSError, TimeoutError) as exc:
            raise RuntimeFailure(f"port {port} of the pod: {exc or 'no answer'}") from exc

    async def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        def open_logs(api: APIClient) -> Any:
            return api.logs(
                container_id, stream=True, follow=options.follow, timestamps=options.timestamps,
                tail="all" if options.tail is None else options.tail, since=options.since or None,
            )  # fmt: skip

        async with aclosing(self._stream(open_logs)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def events(self) -> AsyncGenerator[ContainerEvent, None]:
        filters = {"type": "container", "event": _EVENTS, "label": f"{runtime.NODE}={self._node}"}

        def forget() -> None:
            self._inspected.clear()  # anything may have happened while nobody listened

        stream = self._stream(lambda api: api.events(filters=filters, decode=True), on_open=forget)
        async with aclosing(stream):
            async for event in stream:
                if event is None:
                    yield ContainerEvent("connected")
                    continue
                actor = event["Actor"]
                self._inspected.pop(actor["ID"], None)
                yield ContainerEvent(event["Action"], actor["ID"], actor["Attributes"].get(runtime.POD_UID, ""))
        raise RuntimeUnavailable("docker's event stream ended")

    async def usage(self) -> Sample:
        running = [container for container in await self.containers() if container.running]
        try:
            return await asyncio.to_thread(lambda: look(self._cgroups, running))
        except Gone as exc:
            raise RuntimeFailure(f"the control groups of this machine cannot be read: {exc}") from exc

    @cached_property
    def _cgroups(self) -> Cgroups:
        return Cgroups()

    async def close(self) -> None:
        self._groups.close()
        for client in self._clients:
            client.close()

    # -- how docker is called -------------------------------------------------------------------------------

    async def _call(self, function: Callable[[APIClient], T]) -> T:
        """One call in a thread, its errors translated."""
        async with self._slots:
            try:
                return await asyncio.to_thread(lambda: function(self._own_client()))
            except _FAULTS as exc:
                raise _translated(exc) from exc

    async def _stream(
        self, open_stream: Callable[[APIClient], Any], on_open: Callable[[], Any] | None = None
    ) -> AsyncGenerator[Any, None]:
        """A stream of docker's, by a client and in a thread of its own, for as long as somebody reads it."""
        clients: list[APIClient] = []

        def open_with_client() -> Any:
            clients.append(self._client())
            return open_stream(clients[0])

        try:
            async with aclosing(read_in_thread(open_with_client, on_open)) as items:
                async for item in items:
                    yield item
        except _FAULTS as exc:
            raise _translated(exc) from exc
        finally:
            for client in clients:
                client.close()

    def _client(self) -> APIClient:
        """A new client; the first one asks docker for the API version that both speak."""
        try:
            client = APIClient(base_url=self._endpoint, version=self._api_version or "auto", timeout=CALL_SECONDS)
        except DockerException as exc:
            raise RuntimeUnavailable(f"docker does not answer: {exc}") from exc
        self._api_version = client.api_version
        if self._endpoint.startswith("unix://"):
            client.mount(
                "http+docker://", _OneConnection(self._endpoint.replace("unix://", "http+unix://"), CALL_SECONDS)
            )
        return client

    def _own_client(self) -> APIClient:
        """This thread's client."""
        if not hasattr(self._local, "client"):
            self._local.client = self._client()
            self._clients.append(self._local.client)
        client = self._local.client
        assert isinstance(client, APIClient)
        return client

    def _list(self, api: APIClient, pod_uid: str) -> list[Container]:
        labels = [f"{runtime.NODE}={self._node}"]
        if pod_uid:
            labels.append(f"{runtime.POD_UID}={pod_uid}")
        found = []
        rows = api.containers(all=True, filters={"label": labels})
        for row in rows:
            known = self._inspected.get(row["Id"])
            if known is None or known[0] != row["State"]:
                try:
                    known = (row["State"], container_of(api.inspect_container(row["Id"])))
                except NotFound:
                    continue
            container = self._counted(known[1])
            self._inspected[row["Id"]] = (row["State"], container)
            found.append(container)
        if not pod_uid:
            self._inspected = {c.id: self._inspected[c.id] for c in found if c.id in self._inspected}
            self._groups.keep({container.cgroup_parent for container in found})
        return found

    def _counted(self, container: Container) -> Container:
        """With what the group around it tells."""
        parent = container.cgroup_parent
        if not container.crowded and self._groups.crowded(parent, container.pids_limit):
            container = replace(container, crowded=True)
        if container.state != "exited" or container.oom_killed or not self._groups.killed(parent, container.exit_code):
            return container
        return replace(container, oom_killed=True)


class _OneConnection(UnixHTTPAdapter):
    """One kept connection for all that a client asks; docker-py keeps one for each of the last 25 URLs."""

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        return super().get_connection("http+docker://localhost", proxies)


def _translated(exc: Exception) -> RuntimeFailure:
    if isinstance(exc, ImageNotFound) or (isinstance(exc, NotFound) and "No such image" in str(exc)):
        return NoSuchImage("no such image")
    if isinstance(exc, APIError):
        kind = NoSuchContainer if isinstance(exc, NotFound) else RuntimeFailure
        return kind(f"API error ({exc.status_code}): {exc.explanation}")
    if isinstance(exc, DockerException):  # docker-py itself refuses: an image name that is none, say
        return RuntimeFailure(str(exc))
    return RuntimeUnavailable(f"docker does not answer: {exc}")
