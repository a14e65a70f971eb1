"""kube-proxy as a process under many connections: none is lost while endpoints change, 8,000 may be idle."""

import ast
import asyncio
import contextlib
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labkit.api.types import EndpointPort, ServicePort
from labkit.testing.eventually import eventually
from tests.node.netns import POD_IPS, Netns
from tests.node.world import World, world

A, B, NOBODY = POD_IPS["pod-a"], POD_IPS["pod-b"], "10.244.2.1"  # the bridge: refuses at once
WEB = "10.0.0.12"
PORT = (EndpointPort(port=8000, protocol="TCP"),)
IN_TURN, IDLE, DESCRIPTORS = 10_000, 8_000, 20_000

_GREET = """
import socket, sys
listener = socket.create_server(("0.0.0.0", 8000), backlog=1024)
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    client.sendall(sys.argv[1].encode())
    client.close()
"""

_ASK_IN_TURN = """
import collections, socket, sys
seen = collections.Counter()
for _ in range(int(sys.argv[2])):
    try:
        with socket.create_connection((sys.argv[1], 80), timeout=20) as sock:
            seen[sock.recv(10).decode()] += 1
    except OSError as exc:
        seen[repr(exc)] += 1
print(dict(seen))
"""

_HOLD = """
import resource, select, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("0.0.0.0", 8000), backlog=4096)
print("ready", flush=True)
poll, held = select.epoll(), {}
poll.register(listener, select.EPOLLIN)
while True:
    for fd, _ in poll.poll():
        if fd == listener.fileno():
            client, _ = listener.accept()
            held[client.fileno()] = client
            poll.register(client, select.EPOLLIN)
        else:
            data = held[fd].recv(100)
            if data:
                held[fd].send(data)
            else:
                held.pop(fd).close()
"""

_STAY_IDLE = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = []
for _ in range(int(sys.argv[2])):
    sock = socket.create_connection((sys.argv[1], 80), timeout=30)
    held.append(sock)
print("open", flush=True)
sys.stdin.readline()
for sock in held:
    sock.send(b"still there?")
print(sum(sock.recv(100) == b"still there?" for sock in held), flush=True)
"""


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.service("web", WEB, ServicePort(port=80, protocol="TCP"))
        yield made


@contextlib.contextmanager
def serving(space: Netns, program: str, *arguments: str) -> Iterator[None]:
    """A program in a namespace, from the moment when it says that it is ready."""
    command = space.command(sys.executable, "-c", program, *arguments)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


# In userspace mode an endpoint that refuses costs a try; the kernel sends each connection to one endpoint and no other.
CHURN = {
    "userspace": ((A, B), (B,), (NOBODY, B), (A, NOBODY)),
    "iptables": ((A, B), (B,), (A,)),
    "nftables": ((A, B), (B,), (A,)),
}


@pytest.mark.parametrize("mode", CHURN)
async def test_10_000_connections_in_turn_while_endpoints_change(lab: World, mode: str) -> None:
    pod_a, pod_b, outside = (lab.spaces[name] for name in ("pod-a", "pod-b", "outside"))
    with serving(pod_a, _GREET, "pod-a"), serving(pod_b, _GREET, "pod-b"):
        await lab.endpoints("web", A, ports=PORT)
        await lab.proxy(f"--proxy-mode={mode}")
        command = outside.command(sys.executable, "-c", _ASK_IN_TURN, WEB, str(IN_TURN))
        asking = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        turns = 0
        answer = asyncio.create_task(asking.communicate())
        while not answer.done():
            for group in CHURN[mode]:
                await lab.endpoints("web", *group, ports=PORT)
                await asyncio.wait((answer,), timeout=0.05)
            turns += 1
        seen = ast.literal_eval((await answer)[0].decode())
    assert turns > 3
    assert set(seen) == {"pod-a", "pod-b"}, seen
    assert sum(seen.values()) == IN_TURN


async def test_8_000_idle_connections_at_20_000_descriptors(lab: World) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < DESCRIPTORS:
        pytest.skip(f"needs a hard limit of {DESCRIPTORS} open files")
    with serving(lab.spaces["pod-a"], _HOLD):
        await lab.endpoints("web", A, ports=PORT)
        proxy = await lab.proxy(prefix=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
        command = lab.spaces["pod-b"].command(sys.executable, "-c", _STAY_IDLE, WEB, str(IDLE))
        pipe = subprocess.PIPE
        client = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert client.stdout is not None
        try:
            assert await asyncio.wait_for(client.stdout.readline(), 120) == b"open\n"
            await eventually(lambda: _descriptors(proxy.process.pid) >= 2 * IDLE, within=60)
            answered, _ = await asyncio.wait_for(client.communicate(b"go on\n"), 120)
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        assert int(answered) == IDLE
        assert not proxy.said(message="out of descriptors: no new connections")
        await eventually(lambda: _descriptors(proxy.process.pid) < 200, within=60, expect="all of them closed again")


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
