"""The volume drill: the machine of a pod that writes is killed, and what it wrote is there.

The cluster has a master and three agents by now: two of them keep copies, the third is a client and no more.
"""

import functools
import json
import time

import pytest

from tests.e2e.conftest import CLUSTER, Lab, docker
from tests.e2e.test_1_cluster import eventually, ready_nodes, redis_answers

pytestmark = pytest.mark.timeout(600)

# Every line is a number, one more than the one before, whoever writes it; and it is on the servers when it is written.
WRITES = (
    "n=$(wc -l < /data/log 2>/dev/null || echo 0); while :; do n=$((n+1)); echo $n >> /data/log; sync; sleep 0.2; done"
)
CLAIM = {
    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "drill"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "500Mi"}}},
}  # fmt: skip
CONTAINER = {
    "name": "c", "image": "busybox", "command": ["sh", "-c", f"trap exit TERM; {WRITES}"],
    "volumeMounts": [{"name": "v", "mountPath": "/data"}],
}  # fmt: skip
WRITER = {
    "kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": "writer"},
    "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "writer"}}, "spec": {
        "containers": [CONTAINER], "nodeSelector": {"drill": "yes"},
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "drill"}}],
    }}},
}  # fmt: skip
# Without a certificate, and with the machine's: whether the server closes the connection or waits for what we want.
DOOR = """python3 - <<'END'
import socket, ssl
for certified in (False, True):
    context = ssl._create_unverified_context()
    if certified:
        context.load_cert_chain("/usr/lib/ssl/glusterfs.pem", "/usr/lib/ssl/glusterfs.key")
    try:
        door = context.wrap_socket(socket.create_connection(("ADDRESS", 24007), 5))
        door.settimeout(2)
        print("closed" if door.recv(1) == b"" else "open")
    except TimeoutError:
        print("open")
    except OSError:
        print("closed")
END"""


def writer(lab: Lab, but_not_on: str = "") -> tuple[str, str]:
    """Name and node of the pod that writes, elsewhere than on that node; empty while there is none."""
    pods = json.loads(lab.kubectl("get", "pods", "-l", "app=writer", "-o", "json"))["items"]
    for pod in pods:
        if pod["status"]["phase"] == "Running" and pod["spec"]["nodeName"] != but_not_on:
            return pod["metadata"]["name"], pod["spec"]["nodeName"]
    return "", ""


def prints(lab: Lab, machine: str, script: str, expected: str) -> bool:
    return lab.on(machine, script) == expected


def written(lab: Lab, pod: str) -> list[int]:
    return [int(line) for line in lab.kubectl("exec", pod, "--", "cat", "/data/log").split()]


@pytest.fixture(scope="module")
def storage(lab: Lab) -> Lab:
    lab.labkit("storage", "up", within=300)
    lab.labkit("storage", "volume", "drill", within=120)
    for agent in ("agent1", "agent2"):
        lab.kubectl("label", "node", agent, "drill=yes")
    return lab


def test_storage_is_joined_and_closed(storage: Lab) -> None:
    assert "all copies the same" in storage.labkit("storage", "status")
    address = storage.kubectl("get", "ep", "glusterfs-cluster", "-o", "jsonpath={.subsets[0].addresses[1].ip}")
    assert storage.on("master", DOOR.replace("ADDRESS", address)).split() == ["closed", "open"]
    assert "volume drill is there" in storage.labkit("storage", "volume", "drill")


def test_what_a_pod_wrote_outlives_it_and_its_machine(storage: Lab) -> None:
    for thing in (CLAIM, WRITER):
        storage.on("master", f"kubectl create -f - <<'END'\n{json.dumps(thing)}\nEND")
    eventually(lambda: bool(writer(storage)[0]), 60, "the writer runs")
    assert storage.kubectl("get", "pvc", "drill", "-o", "jsonpath={.status.phase} {.spec.volumeName}") == "Bound drill"
    pod, node = writer(storage)
    storage.on(node, "systemctl restart kubelet")  # the FUSE process is not the kubelet's
    time.sleep(2)
    before = written(storage, pod)
    eventually(lambda: len(written(storage, pod)) > len(before), 20, "it writes on, whatever became of the kubelet")
    before = written(storage, pod)

    docker("kill", f"{CLUSTER}-{node}")
    eventually(lambda: bool(writer(storage, but_not_on=node)[0]), 120, "another writer, on another machine")
    pod, _ = writer(storage, but_not_on=node)
    eventually(lambda: len(written(storage, pod)) > len(before) + 5, 60, "it goes on writing")
    after = written(storage, pod)
    assert after[: len(before)] == before
    assert after == list(range(1, len(after) + 1))
    assert node in storage.labkit("status", rc=1)
    assert "a copy is away" in storage.labkit("storage", "status", rc=1)


def test_a_killed_machine_comes_back_and_its_copy_is_healed(storage: Lab) -> None:
    storage.kubectl("delete", "rc", "writer", "--cascade=false")
    storage.kubectl("delete", "pods", "-l", "app=writer", "--grace-period=0", "--force")
    storage.labkit("up", within=300)
    eventually(lambda: {"agent1", "agent2"} <= ready_nodes(storage), 60, "both nodes Ready")
    eventually(
        lambda: redis_answers(storage, "agent1") and redis_answers(storage, "agent2"), 90, "redis answers on both"
    )
    eventually(lambda: "all copies" in storage.labkit("storage", "status", rc=None), 90, "every copy is the same")
    sums = {storage.on(name, "sha256sum < /srv/glusterfs/drill/log") for name in ("master", "agent1", "agent2")}
    assert len(sums) == 1
    left = "grep -c fuse.glusterfs /proc/mounts || true"
    for agent in ("agent1", "agent2"):
        eventually(functools.partial(prints, storage, agent, left, "0"), 40, f"nothing is mounted on {agent}")
    storage.kubectl("delete", "pvc", "drill")
    phase = ("get", "pv", "drill", "-o", "jsonpath={.status.phase}")
    eventually(lambda: storage.kubectl(*phase) == "Released", 20, "the volume is released, its data kept")


def test_storage_goes_and_leaves_nothing(storage: Lab) -> None:
    """Not while it is used; then from every machine, and the next `labkit up` does not bring it back."""
    storage.labkit("storage", "volume", "held", within=120)
    storage.on("master", f"kubectl create -f - <<'END'\n{json.dumps(CLAIM | {'metadata': {'name': 'holds'}})}\nEND")
    bound = ("get", "pvc", "holds", "-o", "jsonpath={.status.phase}")
    eventually(lambda: storage.kubectl(*bound) == "Bound", 20, "the claim has the volume")
    said = storage.labkit("storage", "down", "--yes", rc=1)
    volume = storage.kubectl("get", "pvc", "holds", "-o", "jsonpath={.spec.volumeName}")
    assert f"in use: claim default/holds has volume {volume}" in said
    storage.kubectl("delete", "pvc", "holds")
    released = ("get", "pv", volume, "-o", "jsonpath={.status.phase}")
    eventually(lambda: storage.kubectl(*released) == "Released", 20, "the volume is released")
    assert "nothing was removed" in storage.labkit("storage", "down", stdin="n\n", rc=1)

    storage.labkit("storage", "down", "--yes", within=180)
    assert storage.kubectl("get", "pv,svc,ep", "-o", "name").count("gluster") == 0
    assert storage.kubectl("get", "pv", "-o", "name") == ""
    left = (
        "systemctl is-active glusterd; pgrep -l gluster; ls /srv/glusterfs; ls /usr/lib/ssl | grep glusterfs;"
        " ls /var/lib/glusterd | grep -v -e hooks -e groups; grep fuse.glusterfs /proc/mounts"
    )
    for machine in ("master", "agent1", "agent2", "agent3"):
        assert storage.on(machine, left, rc=None) in ("inactive", ""), machine
    assert "nothing to do" in storage.labkit("up", within=200)
    assert "labkit storage up" in storage.labkit("storage", "status", rc=2)
