"""Real kubectl and the kinds that configure, limit and store: create, get, describe, change, explain, delete."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from labkit.api.kinds import KINDS
from labkit.components.kube_apiserver.server import start_in_process
from tests.node.test_apiserver_kubectl import debians, installed

MANIFEST = """
apiVersion: v1
kind: Secret
metadata: {name: all}
stringData: {password: secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: all}
data: {COLOUR: red, "app.conf": "a = b"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: all}
---
apiVersion: v1
kind: LimitRange
metadata: {name: all}
spec: {limits: [{type: Container, max: {cpu: 1}, min: {cpu: 0.1}, default: {cpu: 500m}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all}
spec: {hard: {pods: 3, cpu: "2"}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: all}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /data}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: all}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: all}
template:
  metadata: {labels: {app: a}}
  spec:
    containers:
    - name: c
      image: i
      envFrom: [{configMapRef: {name: all}}]
      env: [{name: P, valueFrom: {secretKeyRef: {name: all, key: password}}}]
      volumeMounts: [{name: data, mountPath: /data}]
    volumes: [{name: data, persistentVolumeClaim: {claimName: all}}, {name: s, secret: {secretName: all}}]
"""
NAMES = ("secret", "cm", "sa", "limits", "quota", "pv", "pvc", "podtemplate")


class Kubectl:
    """One version of it, with a home of its own."""

    def __init__(self, binary: str, home: Path, url: str) -> None:
        self._command = [binary, "--server", url]
        self._env = {"HOME": str(home), "PATH": os.environ["PATH"]}

    async def __call__(self, *arguments: str, input: str = "", code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._command, *arguments, env=self._env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(input.encode()), 30)
        assert process.returncode == code, out.decode()
        return out.decode()


@pytest_asyncio.fixture(params=[installed, debians], ids=["installed", "debian"])
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    binary = request.param()
    async with await start_in_process() as server:
        yield Kubectl(binary, tmp_path, server.base_url)


async def test_every_kind_comes_and_goes(kubectl: Kubectl) -> None:
    assert (await kubectl("create", "-f", "-", input=MANIFEST)).count(" created") == len(NAMES)
    for name in NAMES:
        listed = await kubectl("get", name, "-o", "wide")
        assert listed.splitlines()[1].startswith("all ")
        described = await kubectl("describe", name, "all")
        assert "Name:" in described.splitlines()[0]
    assert (await kubectl("apply", "-f", "-", input=MANIFEST)).count("configured") == len(NAMES)
    again = await kubectl("get", *["secret,cm,pv,pvc"], "-o", "yaml")
    assert (await kubectl("replace", "-f", "-", input=again)).count(" replaced") == 4
    assert (await kubectl("delete", "--wait=false", "-f", "-", input=MANIFEST)).count(" deleted") == len(NAMES)
    assert "NotFound" in await kubectl("get", "pv", "all", code=1)


async def test_what_kubectl_builds_itself(kubectl: Kubectl) -> None:
    """Sent as protobuf by kubectl 1.32 and later."""
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    await kubectl("create", "configmap", "c", "--from-literal=A_B=c")
    await kubectl("create", "serviceaccount", "a")
    await kubectl("create", "quota", "q", "--hard=cpu=500m,pods=2")
    assert await kubectl("get", "secret", "s", "-o", "jsonpath={.data.a}/{.type}") == "Yg==/Opaque"
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data.A_B}") == "c"
    assert await kubectl("get", "quota", "q", "-o", "jsonpath={.spec.hard.cpu}/{.spec.hard.pods}") == "500m/2"


async def test_explain_knows_every_kind(kubectl: Kubectl) -> None:
    for kind in KINDS.values():
        head = (await kubectl("explain", kind.resource)).splitlines()[:2]  # the group, if it has one, comes first
        assert kind.kind in " ".join(head)
    field = await kubectl("explain", "pod.spec.volumes.downwardAPI.items.fieldRef.fieldPath")
    assert "metadata.name" in field
    assert 'field "nope" does not exist' in await kubectl("explain", "pod.spec.nope", code=1)


async def test_a_wrong_field_is_refused_by_name(kubectl: Kubectl) -> None:
    """kubectl up to 1.26 finds it in our schema, later ones let the server say it."""
    wrong = MANIFEST.replace("stringData", "stringDta")
    assert "stringDta" in await kubectl("create", "-f", "-", input=wrong, code=1)


async def test_a_volume_changes_from_one_source_to_another(kubectl: Kubectl) -> None:
    for source in ("emptyDir: {}", "hostPath: {path: /x}"):
        spec = f"containers: [{{name: c, image: i}}], volumes: [{{name: v, {source}}}]"
        manifest = f"apiVersion: v1\nkind: PodTemplate\nmetadata: {{name: v}}\ntemplate: {{spec: {{{spec}}}}}\n"
        await kubectl("apply", "-f", "-", input=manifest)
    volume = await kubectl("get", "podtemplate", "v", "-o", "jsonpath={.template.spec.volumes}")
    assert volume == '[{"hostPath":{"path":"/x"},"name":"v"}]'


async def test_drain(kubectl: Kubectl) -> None:
    """Up to 1.21 by DELETE (it looks for a group `policy`), later by eviction."""
    nodes = [{"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}} for name in ("n1", "n2")]
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pods = [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": f"on-{name}"}, "spec": spec | {"nodeName": name}}
        for name in ("n1", "n2")
    ]
    manifest = json.dumps({"kind": "List", "apiVersion": "v1", "items": [*nodes, *pods]})
    await kubectl("create", "-f", "-", input=manifest)
    drained = await kubectl("drain", "n1", "--force", "--timeout=20s")
    assert "pod/on-n1 evicted" in drained or "pod/on-n1 deleted" in drained
    assert await kubectl("get", "pods", "-o", "name") == "pod/on-n2\n"
    assert "SchedulingDisabled" in await kubectl("get", "node", "n1")
