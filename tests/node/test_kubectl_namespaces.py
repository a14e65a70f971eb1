"""Real kubectl deletes a namespace of a whole cluster in one process, and waits until it is gone."""

import asyncio
import shutil

import pytest

from labkit.api.types import Pod
from labkit.testing.eventually import eventually
from labkit.testing.one_process import one_process

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: web, namespace: team}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: redis}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: team}
spec: {ports: [{port: 80}], selector: {app: web}}
"""


async def kubectl(server: str, *words: str, given: str = "") -> tuple[int, str]:
    """(exit code, all output) of a kubectl that knows nothing but the server's URL."""
    binary = shutil.which("kubectl") or pytest.skip("no kubectl on PATH: apt-get install kubernetes-client")
    process = await asyncio.create_subprocess_exec(
        binary, f"--server={server}", "--kubeconfig=/dev/null", *words, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(given.encode()), 40)
    return process.returncode or 0, output.decode()


async def test_delete_waits_for_the_end() -> None:
    async with one_process(["agent1"]) as cluster:
        url = cluster.server.base_url
        code, output = await kubectl(url, "apply", "-f", "-", given=MANIFEST)
        assert code == 0, output

        async def runs() -> bool:
            pods = (await cluster.client.list(Pod, "team")).items
            return len(pods) == 2 and all(pod.status.phase == "Running" for pod in pods)

        await eventually(runs, 15, expect="two pods run in team")
        code, output = await kubectl(url, "delete", "namespace", "team")
        assert (code, output) == (0, 'namespace "team" deleted\n')
        code, output = await kubectl(url, "get", "namespaces", "-o", "name")
        assert output.split() == ["namespace/default", "namespace/kube-system"]
        code, output = await kubectl(url, "get", "pods,services,rc", "--namespace=team")
        assert (code, output) == (0, "No resources found in team namespace.\n")


async def test_default_stays() -> None:
    async with one_process([]) as cluster:
        code, output = await kubectl(cluster.server.base_url, "delete", "namespace", "default")
        assert code == 1
        assert 'Namespace "default" is forbidden: namespace can never be deleted' in output
