"""The node: what the machine's files say, and what is reported of it."""

import contextlib
from dataclasses import replace
from pathlib import Path

from labkit.api.errors import NotFound
from labkit.api.types import Condition, Node, NodeSpec, NodeStatus, ObjectMeta
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.machine import Machine, inspect
from labkit.components.kubelet.node import node_labels, ready_condition, status_of_node
from labkit.components.kubelet.settings import Settings
from labkit.components.kubelet.times import seconds, stamp
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import one_node

MACHINE = Machine(
    cpu=2000, memory=1 << 30, machine_id="m", system_uuid="u", boot_id="b", booted=0.0, kernel="6.1", os_image="Debian",
    architecture="amd64", capabilities_missing=frozenset(),
)  # fmt: skip
SETTINGS = Settings(node="agent1", address="10.245.1.12", labels={"disk": "ssd"})


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:       24683804 kB\nMemFree:        1 kB\n"}


def test_a_machine_of_its_own(tmp_path: Path) -> None:
    files = MEMINFO | {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "etc/machine-id": "abc\n",
        "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }
    machine = inspect(lay_out(tmp_path, files))
    assert machine.memory == 24683804 * 1024
    assert (machine.machine_id, machine.system_uuid) == ("abc", "abc")
    assert machine.os_image == "Debian GNU/Linux 12 (bookworm)"
    assert machine.cpu % 1000 == 0
    assert machine.cpu > 0


def test_a_machine_that_is_a_container_has_its_cgroup_s_memory(tmp_path: Path) -> None:
    v1 = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"}
    v2 = {"sys/fs/cgroup/memory.max": "1073741824\n"}
    assert inspect(lay_out(tmp_path / "v1", MEMINFO | v1)).memory == 1 << 30
    assert inspect(lay_out(tmp_path / "v2", MEMINFO | v2)).memory == 1 << 30
    assert inspect(lay_out(tmp_path / "max", MEMINFO | {"sys/fs/cgroup/memory.max": "max\n"})).memory > 1 << 30


def test_and_its_quota_of_cores(tmp_path: Path) -> None:
    v1 = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}
    assert inspect(lay_out(tmp_path / "v1", MEMINFO | v1)).cpu == 500
    assert inspect(lay_out(tmp_path / "v2", MEMINFO | {"sys/fs/cgroup/cpu.max": "50000 100000\n"})).cpu == 500
    none = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}
    assert inspect(lay_out(tmp_path / "none", MEMINFO | none)).cpu >= 1000
    assert inspect(lay_out(tmp_path / "max", MEMINFO | {"sys/fs/cgroup/cpu.max": "max 100000\n"})).cpu >= 1000


def test_capabilities_that_cannot_be_had(tmp_path: Path) -> None:
    files = MEMINFO | {"proc/sys/kernel/cap_last_cap": "40\n", "proc/self/status": "CapBnd:\t000001fffeffffff\n"}
    assert inspect(lay_out(tmp_path, files)).capabilities_missing == frozenset({24})


def test_status() -> None:
    status = status_of_node(NodeStatus(), SETTINGS, MACHINE, "docker://20.10", 1000.0)
    assert status.capacity == {"cpu": "2", "memory": "1048576Ki", "pods": "100"}
    assert {a.type: a.address for a in status.addresses} == {
        "LegacyHostIP": "10.245.1.12", "InternalIP": "10.245.1.12", "Hostname": "agent1"
    }  # fmt: skip
    (ready,) = status.conditions
    assert (ready.type, ready.status, ready.reason) == ("Ready", "True", "kubelet is posting ready status")
    assert status.node_info is not None
    assert status.node_info.container_runtime_version == "docker://20.10"
    assert status.daemon_endpoints is not None
    assert status.daemon_endpoints.kubelet_endpoint is not None
    assert status.daemon_endpoints.kubelet_endpoint.port == 10250
    odd = status_of_node(NodeStatus(), SETTINGS, replace(MACHINE, cpu=1500), "", 1000.0)
    assert odd.capacity["cpu"] == "1500m"


def test_without_a_runtime_it_is_not_ready_but_keeps_what_is_known() -> None:
    before = status_of_node(NodeStatus(), SETTINGS, MACHINE, "docker://20.10", 1000.0)
    before.conditions.append(Condition(type="MemoryPressure", status="False"))
    after = status_of_node(before, SETTINGS, MACHINE, "", 1010.0)
    ready = next(c for c in after.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "container runtime is down")
    assert any(c.type == "MemoryPressure" for c in after.conditions)
    assert after.node_info is not None
    assert after.node_info.container_runtime_version == "docker://20.10"


def test_a_heartbeat_moves_on_and_the_transition_stays() -> None:
    first = ready_condition([], True, 1000.0)
    second = ready_condition([first], True, 1010.0)
    assert (second.last_heartbeat_time, second.last_transition_time) == (stamp(1010.0), stamp(1000.0))
    assert ready_condition([second], False, 1020.0).last_transition_time == stamp(1020.0)


def test_labels() -> None:
    assert node_labels(SETTINGS) == {"kubernetes.io/hostname": "agent1", "disk": "ssd"}


def test_times() -> None:
    assert stamp(0) == "1970-01-01T00:00:00Z"
    assert seconds("1970-01-01T00:00:10.964028681Z") == 10.964028
    assert seconds("1970-01-01T00:00:10.5Z") == 10.5
    assert seconds("1970-01-01T01:00:10+01:00") == 10.0
    assert seconds("0001-01-01T00:00:00Z") == seconds("") == seconds(None) == 0.0


async def test_the_network_of_its_pods_is_told(tmp_path: Path) -> None:
    """When it registers, and later on a node that has none; what a node has stays."""
    async with one_node(FakeRuntime("n1"), tmp_path, pod_cidr="10.244.2.0/24") as node:

        async def told(name: str) -> str:
            with contextlib.suppress(NotFound):
                return (await node.client.get(Node, name)).spec.pod_cidr
            return ""

        assert await eventually(lambda: told("n1"), 20) == "10.244.2.0/24"
        await node.end_kubelet()
        await node.client.delete(Node, "n1")
        await node.client.create(Node(metadata=ObjectMeta(name="n1"), spec=NodeSpec(external_id="n1")))
        node.start_kubelet()
        assert await eventually(lambda: told("n1"), 20) == "10.244.2.0/24"
        await node.end_kubelet()
        node.settings = replace(node.settings, pod_cidr="10.244.9.0/24", labels={"new": "label"})
        node.start_kubelet()

        async def labelled() -> bool:
            return "new" in (await node.client.get(Node, "n1")).metadata.labels

        await eventually(labelled, 20)
        assert await told("n1") == "10.244.2.0/24"
