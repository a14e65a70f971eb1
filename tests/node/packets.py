"""`labkit packet` on a machine of network namespaces: the real probe in the node's, asked as over SSH."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Self

import msgspec

from labkit import cluster as clusters
from labkit.api.types import Endpoints, ObjectMeta, Pod, PodSpec, PodStatus, Service
from labkit.cluster import Cluster
from labkit.observe.ends import parse
from labkit.observe.journey import Journey
from labkit.observe.objects import Objects
from labkit.observe.packet import investigate
from labkit.observe.question import ask
from labkit.observe.telling import tell
from labkit.provision.channel import Result
from tests.node.netns import POD_IPS
from tests.node.world import World


class Shell:
    """A machine, where a pod's name stands for its namespace: no docker runs in it. agent2 is the one outside."""

    def __init__(self, lab: World, machine: str) -> None:
        self.lab = lab
        self.space = lab.spaces["outside" if machine == "agent2" else "node"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def run(
        self, command: str, timeout: float = 60, check: bool = True, input: bytes | str | None = None, *,
        what: str = "", on_line: Callable[[str], None] | None = None,
    ) -> Result:  # fmt: skip
        arguments = command.partition("-m labkit.probe")[2].split()
        words = self.space.command(sys.executable, "-m", "labkit.probe", *arguments)
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(self._with_namespace(input) if isinstance(input, bytes) else b"")
            process.stdin.close()
            lines = []
            for line in process.stdout:
                lines.append(line.decode())
                if on_line:
                    on_line(lines[-1].rstrip("\n"))
        assert process.returncode == 0
        return Result(0, "".join(lines), "")

    def _with_namespace(self, asked: bytes) -> bytes:
        request = msgspec.json.decode(asked)
        if pod := request.pop("pod", ""):
            request["netns"] = f"/run/netns/{self.lab.spaces[pod.partition('/')[2]].name}"
        return msgspec.json.encode(request)


def cluster() -> Cluster:
    """agent1 is the node: 10.245.1.12, pods 10.244.2.0/24."""
    return clusters.fresh("lab", "10.245.1.0/24")


async def journey(lab: World, start: str, to: str, *, seconds: float = 3.0, say: bytes = b"") -> Journey:
    """One request in the world, told. The host is the machine outside."""
    pods = [
        Pod(
            metadata=ObjectMeta(name=name, namespace="default"),
            spec=PodSpec(node_name="agent1"),
            status=PodStatus(phase="Running", pod_ip=ip),
        )
        for name, ip in POD_IPS.items()
    ]
    known = Objects(pods, (await lab.client.list(Service)).items, (await lab.client.list(Endpoints, "default")).items)
    question = ask(*parse([start, to]), known, cluster())

    def look() -> Any:
        return investigate(question, known, cluster(), say, seconds, lambda machine: Shell(lab, machine.name))

    return tell(await lab.inside("outside", look), cluster())


def functions(told: Journey) -> list[str]:
    """The makers of the rules on the way, in order."""
    return [rule.function for station in told.stations for rule in station.rules if rule.function]


def chains(told: Journey) -> list[str]:
    """The chains of the rules on the way, in order."""
    return [rule.text.split()[1] for station in told.stations for rule in station.rules if rule.text.startswith("-A ")]
