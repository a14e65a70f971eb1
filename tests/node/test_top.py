"""kubectl top, the machine's and Debian's 1.20: figures of containers that really work, through kubelet and
kube-apiserver as processes, real etcd, real docker."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.components.kubelet import runtime as labels
from tests.node.one_node import Kubectl, OneNode, container, one_node, until
from tests.node.test_apiserver_kubectl import debians, installed

pytestmark = pytest.mark.timeout(120)
NODE = f"top-test-{os.getpid()}"
# a tenth of a core or more even on a crowded machine, and 40 MB that cannot be taken back
WORKS = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); while true; do true; done"
RESTS = "trap 'exit 0' TERM; while true; do sleep 1; done"


def manifest(name: str, *containers: dict[str, object]) -> bytes:
    meta = {"name": name, "labels": {"app": name}}
    spec = {"nodeName": NODE, "containers": containers, "terminationGracePeriodSeconds": 0}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}).encode()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    folder = tmp_path_factory.mktemp("top")
    with one_node(folder, NODE, kubelet_flags=("--housekeeping-interval=1",)) as node:
        kubectl = node.kubectl(installed(), folder)
        busy = container("busy", ["sh", "-c", WORKS])
        kubectl("apply", "-f", "-", input=manifest("works", busy, container("rests", ["sh", "-c", RESTS])))
        kubectl("apply", "-f", "-", input=manifest("rests", container("c", ["sh", "-c", RESTS])))
        until(lambda: memory_of_works(kubectl) > 30 and len(rows(printed(kubectl))) == 2, "40 MB are seen", 60)
        yield node


@pytest.fixture(params=[installed, debians], ids=["installed", "debian"])
def kubectl(request: pytest.FixtureRequest, node: OneNode, tmp_path: Path) -> Kubectl:
    return node.kubectl(request.param(), tmp_path)


def printed(kubectl: Kubectl) -> str:
    """`kubectl top pods`, whether or not there are figures yet."""
    words = [kubectl.binary, "top", "pods"]
    return subprocess.run(words, env=kubectl.environment, capture_output=True, timeout=30, check=False).stdout.decode()


def memory_of_works(kubectl: Kubectl) -> int:
    return memory_of(rows(printed(kubectl)).get("works", ["", "0Mi"])[1])


def rows(printed: str) -> dict[str, list[str]]:
    """First column -> the others, the heading left out."""
    lines = [line.split() for line in printed.splitlines()]
    return {first: rest for first, *rest in lines if rest and first not in ("NAME", "POD", "NAMESPACE", "error:")}


def cpu_of(cell: str) -> int:
    return int(re.fullmatch(r"(\d+)m", cell)[1])  # type: ignore[index]


def memory_of(cell: str) -> int:
    return int(re.fullmatch(r"(\d+)Mi", cell)[1])  # type: ignore[index]


def test_pods(kubectl: Kubectl) -> None:
    found = rows(kubectl("top", "pods"))
    assert set(found) == {"works", "rests"}
    cpu, memory = found["works"]
    assert cpu_of(cpu) >= 100
    assert 30 <= memory_of(memory) <= 200
    assert cpu_of(found["rests"][0]) < 100
    assert memory_of(found["rests"][1]) < 20


def test_containers(kubectl: Kubectl) -> None:
    lines = kubectl("top", "pod", "works", "--containers").splitlines()
    assert re.fullmatch(r"POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *", lines[0])
    cells = {line.split()[1]: line.split()[2:] for line in lines[1:]}
    assert set(cells) == {"busy", "rests"}
    assert cpu_of(cells["busy"][0]) > cpu_of(cells["rests"][0])


def test_nodes(kubectl: Kubectl) -> None:
    cpu, share, memory, of_memory = rows(kubectl("top", "nodes"))[NODE]
    assert cpu_of(cpu) >= 100
    assert memory_of(memory) > 40
    for percent in (share, of_memory):  # of what the node says that it can give
        assert re.fullmatch(r"\d+%", percent)
    assert set(rows(kubectl("top", "node", NODE))) == {NODE}


def test_selection(kubectl: Kubectl) -> None:
    assert set(rows(kubectl("top", "pods", "-l", "app=rests"))) == {"rests"}
    everywhere = kubectl("top", "pods", "--all-namespaces", "--sort-by=cpu").splitlines()
    assert [line.split()[:2] for line in everywhere] == [
        ["NAMESPACE", "NAME"], ["default", "works"], ["default", "rests"]
    ]  # fmt: skip
    assert 'podmetrics.metrics.k8s.io "default/nope" not found' in kubectl("top", "pod", "nope", code=1)


def test_get_and_explain(kubectl: Kubectl) -> None:
    found = json.loads(kubectl("get", "podmetrics.metrics.k8s.io", "works", "-o", "json"))
    assert {one["name"] for one in found["containers"]} == {"busy", "rests"}
    assert float(found["window"].removesuffix("s")) > 0
    node = json.loads(kubectl("get", "node", NODE, "-o", "json"))["status"]
    assert node["allocatable"] == node["capacity"]
    assert set(node["capacity"]) == {"cpu", "memory", "pods"}
    assert "as its kubelet counts" in kubectl("explain", "podmetrics", "--api-version=metrics.k8s.io/v1beta1")


def test_the_kubelet_s_pages_through_the_proxy(kubectl: Kubectl) -> None:
    proxied = f"/api/v1/nodes/{NODE}/proxy"
    assert json.loads(kubectl("get", "--raw", f"{proxied}/spec/"))["num_cores"] >= 1
    summary = json.loads(kubectl("get", "--raw", f"{proxied}/stats/summary"))
    assert {pod["podRef"]["name"] for pod in summary["pods"]} == {"works", "rests"}
    assert 'container="busy"' in kubectl("get", "--raw", f"{proxied}/metrics")


def test_the_pages_of_2015(kubectl: Kubectl) -> None:
    """Where the original had them; a container's figures by namespace, pod, uid and name."""
    proxied = f"/api/v1/nodes/{NODE}/proxy"
    assert kubectl("get", "--raw", f"{proxied}/healthz") == "ok"
    pods = json.loads(kubectl("get", "--raw", f"{proxied}/pods"))["items"]
    uid = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}
    assert set(uid) == {"works", "rests"}
    machine = json.loads(kubectl("get", "--raw", f"{proxied}/stats/"))
    busy = json.loads(kubectl("get", "--raw", f"{proxied}/stats/default/works/{uid['works']}/busy"))
    for seen in (machine, busy):
        spent = [one["cpu"]["usage"]["total"] for one in seen["stats"]]
        assert spent == sorted(spent)
        assert spent[-1] > spent[0]
    assert busy["stats"][-1]["memory"]["usage"] >= 30_000_000


def test_an_idle_kubelet_stays_idle(node: OneNode) -> None:
    """Reading usage once a second costs next to nothing: it is ten times what a machine does."""

    def seconds() -> float:
        fields = Path(f"/proc/{node.kubelet.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = seconds()
    subprocess.run(["sleep", "3"], check=True)
    assert (seconds() - before) / 3 < 0.15


def test_drain(node: OneNode, tmp_path: Path) -> None:
    """The last one of this file: the node is cordoned, and nothing of its pods is left on docker."""
    kubectl = node.kubectl(installed(), tmp_path)
    kubectl("drain", NODE, "--force", "--timeout=60s")
    assert "SchedulingDisabled" in kubectl("get", "node", NODE)
    assert kubectl("get", "pods", "-o", "name") == ""
    command = ["docker", "ps", "-q", "--filter", f"label={labels.NODE}={NODE}"]
    until(lambda: not subprocess.run(command, capture_output=True, timeout=30, check=True).stdout, "nothing runs", 30)
    kubectl("uncordon", NODE)
    assert "SchedulingDisabled" not in kubectl("get", "node", NODE)
