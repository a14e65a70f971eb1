"""From nothing to a cluster, and every way in which it must come back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.guide import choice
from tests.e2e.conftest import CLUSTER, Lab, docker, images

pytestmark = pytest.mark.timeout(900)


def eventually(check: Callable[[], bool], within: float, what: str) -> None:
    """Ask until true; a coroutine-free twin of labkit.testing.eventually for the command line."""
    end = time.monotonic() + within
    while not check():
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.5)


def ready_nodes(lab: Lab) -> set[str]:
    rows = [line.split() for line in lab.kubectl("get", "nodes", "--no-headers").splitlines()]
    return {row[0] for row in rows if row[1] == "Ready"}


def machine_ids() -> dict[str, str]:
    rows = docker(
        "ps", "-a", "--no-trunc", "--filter", f"label=labkit.cluster={CLUSTER}", "--format", "{{.Names}} {{.ID}}"
    )
    return dict(line.split() for line in rows.splitlines())


def redis_answers(lab: Lab, machine: str) -> bool:
    ask = "timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.0.11/6379 && printf \"PING\\r\\n\" >&3 && head -c 5 <&3'"
    return "+PONG" in lab.on(machine, ask, rc=None)


def test_up_from_nothing_ends_with_ready_nodes_and_the_first_step(lab: Lab) -> None:
    assert not images()
    assert not machine_ids()
    printed = lab.labkit("up", within=800)
    assert "labkit lab redis-master" in printed
    assert ready_nodes(lab) == {"agent1", "agent2"}
    assert images()


def test_a_second_up_does_nothing(lab: Lab) -> None:
    before = machine_ids()
    assert "nothing to do" in lab.labkit("up", within=120)
    assert machine_ids() == before


def test_status_is_well(lab: Lab) -> None:
    printed = lab.labkit("status")
    for word in ("master", "agent1", "agent2", "kube-apiserver", "kubelet", "kube-proxy", "kube-dns"):
        assert word in printed


def test_the_hosts_own_kubectl_reaches_the_cluster(lab: Lab, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on this host")
    config = tmp_path / "kubeconfig"
    config.write_text(lab.labkit("kubeconfig"))
    done = subprocess.run(
        [kubectl, f"--kubeconfig={config}", "get", "nodes", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {item["metadata"]["name"] for item in json.loads(done.stdout)["items"]} == {"agent1", "agent2"}


def test_secrets_on_the_host_are_its_owners_alone(lab: Lab) -> None:
    state = lab.home / CLUSTER
    assert state.stat().st_mode & 0o077 == 0
    keys = [p for p in state.rglob("*") if p.is_file() and (p.suffix == ".key" or p.name.startswith("id_ed25519"))]
    assert keys
    open_ = [str(path) for path in keys if path.suffix != ".pub" and path.stat().st_mode & 0o077]
    assert not open_


def test_machines_hold_no_more_than_they_need(lab: Lab) -> None:
    for name in machine_ids():
        caps = int(docker("exec", name, "sh", "-c", "grep CapBnd /proc/1/status").split()[1], 16)
        for forbidden, bit in {"CAP_SYS_MODULE": 16, "CAP_SYS_BOOT": 22, "CAP_SYS_TIME": 25}.items():
            assert not caps >> bit & 1, f"{name} holds {forbidden}"
        bound = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Ports"]
        assert all(b["HostIp"] == "127.0.0.1" for bindings in bound.values() for b in bindings or [])


def fences() -> list[str]:
    """The host's own rules against a way out of this cluster's network."""
    rules = subprocess.run(["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, timeout=20, check=True)
    return [line for line in rules.stdout.splitlines() if f"br-{CLUSTER} " in line]


def test_the_host_forwards_nothing_out_of_the_lab(lab: Lab) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to see the host's rules")
    (fence,) = fences()
    assert fence.startswith(f"-A DOCKER-USER -i br-{CLUSTER} ! -o br-{CLUSTER} ")
    assert fence.endswith("-j DROP")


_ETCDCTL = "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt --command-timeout=3s"
_EVERY_OTHER_CERTIFICATE = """
for crt in $(find /etc/kubernetes /etc/etcd /etc/docker -name '*.crt' 2>/dev/null | sort); do
  key=${crt%.crt}.key; [ -f $key ] || continue
  echo "$crt {verdict}"
done
"""


def test_etcd_admits_the_api_server_and_the_operator_alone(lab: Lab) -> None:
    ask = f"{_ETCDCTL} --cert=$crt --key=$key get /registry/namespaces/default >/dev/null 2>&1"
    ask += " && echo admitted || echo refused"
    printed = lab.on("master", _EVERY_OTHER_CERTIFICATE.replace("{verdict}", f"$({ask})"), within=120)
    verdicts = dict(line.split() for line in printed.splitlines())
    admitted = {path for path, verdict in verdicts.items() if verdict == "admitted"}
    assert {Path(path).stem for path in admitted} == {"kube-apiserver", "operator"}
    assert "/etc/kubernetes/pki/etcd/kube-apiserver.crt" in admitted
    assert "/etc/kubernetes/pki/kube-apiserver.crt" not in admitted
    assert len(verdicts) - len(admitted) >= 5  # the others were really tried
    write = f"{_ETCDCTL} --cert=/etc/etcd/pki/operator.crt --key=/etc/etcd/pki/operator.key put /registry/x y"
    assert "permission denied" in lab.on("master", f"{write} 2>&1", rc=None)


def test_the_kubelet_admits_the_api_servers_kubelet_client_alone(lab: Lab) -> None:
    for machine in ("master", "agent1"):
        ask = (
            "code=$(curl -sm5 -o /dev/null -w '%{http_code}' --cacert /etc/kubernetes/pki/ca.crt --cert $crt --key $key"
            ' https://agent1:10250/pods); [ "$code" = 200 ] && echo admitted || echo refused'
        )
        printed = lab.on(machine, _EVERY_OTHER_CERTIFICATE.replace("{verdict}", f"$({ask})"), within=120)
        verdicts = dict(line.split() for line in printed.splitlines())
        admitted = {Path(path).stem for path, verdict in verdicts.items() if verdict == "admitted"}
        assert admitted == ({"kube-apiserver-kubelet-client"} if machine == "master" else set())
        assert len(verdicts) >= 2


_ASKS = """
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec: {containers: [{name: c, image: toolbox}]}
"""
_TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def test_a_pod_talks_to_the_api_server_with_its_own_token(lab: Lab) -> None:
    """By the service's name and by its address from the environment, with the files that are mounted."""
    lab.on("master", f"kubectl apply -f - <<'Y'\n{_ASKS}\nY")
    phase = ("get", "pod", "asks", "-o", "jsonpath={.status.phase}")
    eventually(lambda: lab.kubectl(*phase) == "Running", 60, "the pod runs")
    assert lab.kubectl("exec", "asks", "--", "cat", f"{_TOKENS}/namespace") == "default"
    curl = f"curl -sm5 --cacert {_TOKENS}/ca.crt -w ' %{{http_code}}'"
    for host in ("kubernetes", "kubernetes.default.svc.cluster.local", "$KUBERNETES_SERVICE_HOST"):
        url = f"https://{host}:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods"
        asked = lab.kubectl(
            "exec", "asks", "--", "sh", "-c", f'{curl} -H "Authorization: Bearer $(cat {_TOKENS}/token)" {url}'
        )
        assert asked.endswith(" 403"), asked
        assert "system:serviceaccount:default:default" in asked
        assert lab.kubectl("exec", "asks", "--", "sh", "-c", f"{curl} {url}").endswith(" 401")
    _its_names_are_explained(lab)
    node = lab.kubectl("get", "pod", "asks", "-o", "jsonpath={.spec.nodeName}")
    uid = lab.kubectl("get", "pod", "asks", "-o", "jsonpath={.metadata.uid}")
    mounts = f"grep -c 'pods/{uid}/volumes/kubernetes.io~secret/.* tmpfs' /proc/mounts"
    assert lab.on(node, mounts) == "1"
    lab.kubectl("delete", "pod", "asks", "--grace-period=1")
    eventually(lambda: lab.on(node, mounts, rc=None) == "0", 30, "the secret is gone with its pod")


def _its_names_are_explained(lab: Lab) -> None:
    """`labkit dns` from that pod, from a machine, and not from the host."""
    told = lab.labkit("dns", "kubernetes", "--from", "asks")
    assert "kubernetes is 10.0.0.1, the service default/kubernetes" in told
    assert "kubernetes.default.svc.cluster.local. 30 A 10.0.0.1" in told
    assert "did you mean kubernetes?" in lab.labkit("dns", "kubernets", "--from", "pod/default/asks", rc=1)
    found = json.loads(lab.labkit("dns", "10.0.0.10", "--from", "node/agent1", "--json"))
    assert found["steps"][0]["records"][0]["data"] == "kube-dns.kube-system.svc.cluster.local."
    assert "nothing was sent" in lab.labkit("dns", "kubernetes", "--from", "host", rc=2)


@pytest.mark.parametrize("name", choice.chosen_labs())
def test_a_lab_plays_itself(lab: Lab, name: str) -> None:
    """redis-master, and others in turn (labkit/guide/choice.py): each check fails before its step, passes after it."""
    assert name in lab.labkit("lab", name, "--play", within=400)


@pytest.mark.parametrize("name", choice.chosen_walkthroughs())
def test_a_walkthrough_plays_itself(lab: Lab, name: str) -> None:
    lab.labkit("walkthrough", name, "--auto", within=300)


def test_push_brings_one_component_back(lab: Lab) -> None:
    since = lab.on("agent1", "systemctl show -p ExecMainStartTimestampMonotonic kube-proxy kubelet")
    lab.labkit("push", "kube-proxy", within=120)
    now = lab.on("agent1", "systemctl show -p ExecMainStartTimestampMonotonic kube-proxy kubelet")
    before_proxy, before_kubelet = [line for line in since.splitlines() if line]
    after_proxy, after_kubelet = [line for line in now.splitlines() if line]
    assert after_proxy != before_proxy
    assert after_kubelet == before_kubelet


def _deploy_redis(lab: Lab) -> None:
    for name in ("redis-master-controller.yaml", "redis-master-service.yaml"):
        text = (Path(__file__).parents[2] / "labs" / "04-redis-master" / name).read_text()
        lab.on("master", f"kubectl apply -f - <<'Y'\n{text}\nY")
    eventually(
        lambda: redis_answers(lab, "agent1") and redis_answers(lab, "agent2"), 90, "redis answers on both agents"
    )


def test_halt_and_up_bring_back_routes_units_pods_and_data(lab: Lab) -> None:
    _deploy_redis(lab)
    pods = lab.kubectl("get", "pods", "-l", "name=redis-master", "-o", "name")
    lab.labkit("down", within=180)
    states = docker("ps", "-a", "--filter", f"label=labkit.cluster={CLUSTER}", "--format", "{{.State}}").split()
    assert states == ["exited"] * 3
    lab.labkit("up", within=300)
    eventually(lambda: ready_nodes(lab) == {"agent1", "agent2"}, 60, "both nodes Ready")
    assert lab.kubectl("get", "pods", "-l", "name=redis-master", "-o", "name") == pods
    eventually(
        lambda: redis_answers(lab, "agent1") and redis_answers(lab, "agent2"), 90, "redis answers after halt and up"
    )


def test_a_restart_of_docker_rebuilds_the_pods(lab: Lab) -> None:
    """The same pods; in each the pause container first; every container is counted once more."""
    about = "{.items[0].metadata.uid} {.items[0].spec.nodeName} {.items[0].status.containerStatuses[0].restartCount}"
    ask = ("get", "pods", "-l", "name=redis-master", "-o", f"jsonpath={about}")
    uid, node, restarts = lab.kubectl(*ask).split()
    lab.on(node, "systemctl restart docker", within=120)
    eventually(lambda: lab.kubectl(*ask).split() == [uid, node, str(int(restarts) + 1)], 60, "it runs once more")
    eventually(lambda: redis_answers(lab, node), 60, "redis answers after a restart of docker")
    listed = lab.on(node, "docker inspect -f '{{.Created}} {{.Name}}' $(docker ps -q)")
    names = [line.split()[1] for line in sorted(listed.splitlines()) if uid in line]
    assert [name.split("_")[1].partition(".")[0] for name in names] == ["POD", "master"]


def test_a_packet_is_followed_from_a_machine_and_from_the_host(lab: Lab, tmp_path: Path) -> None:
    drawing = tmp_path / "packet.svg"
    told = lab.labkit("packet", "node/agent1", "redis-master:6379", "--send", "PING\\r\\n", "--svg", str(drawing))
    assert "host_portal  labkit/components/kube_proxy/iptables.py:" in told
    assert 'answered "+PONG' in told
    assert drawing.read_text().startswith("<svg")
    assert "nothing was sent" in lab.labkit("packet", "host", "10.0.0.11:6379", rc=2)
    lab.on("master", "kubectl expose rc redis-master --name=open --port=6379 --type=NodePort")

    def from_the_host() -> bool:
        found = json.loads(lab.labkit("packet", "host", "open", "--json", rc=None))
        return bool(found["well"]) and found["stations"][0]["machine"] == "host"

    eventually(from_the_host, 60, "a node port answers the host")
    lab.kubectl("delete", "service", "open")


_TOLD = """
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {ports: [{port: 6379}], selector: {name: NAME}}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {name: NAME}
  template:
    metadata: {labels: {name: NAME}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: redis, ports: [{containerPort: 6379}]}]}
"""
_HOPS = [
    ("kube-apiserver", "Resources.create"), ("etcd", "_transaction"), ("kube-apiserver", "Cache.apply"),
    ("kube-controller-manager", "Informer._apply"), ("kube-controller-manager", "WorkQueue.get"),
    ("kube-controller-manager", "plan"), ("kube-apiserver", "Resources.create"), ("kube-scheduler", "Informer._apply"),
    ("kube-scheduler", "schedule"), ("kube-apiserver", "bind"), ("kubelet", "Informer._apply"), ("kubelet", "plan"),
    ("kubelet", "Docker.create"), ("kubelet", "Docker.start"), ("kube-apiserver", "status"),
]  # fmt: skip
_AT_LAST = {("kube-controller-manager", "subsets"), ("kube-proxy", "Informer._apply")}
"""In any order: the controller tells of its decision when its PUT was answered, and a proxy may have heard by then."""


def _missing(lab: Lab, what: str) -> list[tuple[str, str]]:
    """What of the design's table the story has not, in this order."""
    chapters = json.loads(lab.labkit("story", what, "--json", rc=None))["chapters"]
    hops = iter([(hop["component"], hop["function"]) for chapter in chapters for hop in chapter["hops"]])
    return [each for each in _HOPS if each not in hops] + sorted(_AT_LAST - set(hops))


def test_the_story_of_a_controller_is_told_from_all_machines_live_and_when_it_is_gone(lab: Lab, tmp_path: Path) -> None:
    name = f"told-{int(time.time())}"  # journals remember: of a second try the name must be new
    what = f"rc/{name}"
    words = [sys.executable, "-m", "labkit.cli", "story", what, "--follow", "--json"]
    drawing = tmp_path / "story.svg"
    with (tmp_path / "live").open("w+") as live:
        following = subprocess.Popen(words, env=lab.env, stdout=live, stderr=subprocess.DEVNULL)
        try:
            lab.on("master", f"kubectl create -f - <<'Y'\n{_TOLD.replace('NAME', name)}\nY")
            eventually(lambda: not _missing(lab, what), 60, "every hop of the design's table, in its order")
            eventually(lambda: "Docker.start" in (tmp_path / "live").read_text(), 20, "the same live")
        finally:
            following.send_signal(signal.SIGINT)
            assert following.wait(20) == 0
    told = lab.labkit("story", what, "--brief", "--svg", str(drawing))
    assert f"rc {name} has 0 pods and wants 1: create 1" in told
    assert "labkit/components/kube_controller_manager/replication.py:" in told
    assert f"DNS record: {name}.default.svc.cluster.local." in told
    assert {machine for machine in ("master", "agent1", "agent2") if f"┌ {machine} · kube-proxy" in told} == {
        "master", "agent1", "agent2"
    }  # fmt: skip
    assert drawing.read_text().startswith("<svg")
    lab.kubectl("delete", "rc,service", name)
    eventually(lambda: "it exists no longer" in lab.labkit("story", what), 20, "told when it is gone")


def test_the_proxys_mode_changes_on_running_machines_and_leaves_nothing(lab: Lab) -> None:
    reach = "timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.0.1/443'"
    left = {"userspace": "KUBE-PORTALS-CONTAINER", "iptables": "KUBE-SVC-", "nftables": "table ip kube-proxy"}
    for mode in ("iptables", "nftables", "userspace"):
        lab.labkit("init", "--proxy-mode", mode)
        lab.labkit("up", within=120)
        for machine in ("agent1", "agent2"):
            lab.on(machine, f"for try in $(seq 20); do {reach} && exit 0; sleep 0.5; done; exit 1")
            rules = lab.on(machine, "iptables-save -t nat; nft list tables")
            assert [name for name, rule in left.items() if rule in rules] == [mode]


def test_a_third_agent_joins_and_the_others_stay(lab: Lab) -> None:
    before = machine_ids()
    lab.labkit("init", "--agents", "3")
    lab.labkit("up", within=300)
    after = machine_ids()
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1
    eventually(lambda: "agent3" in ready_nodes(lab), 60, "agent3 Ready")
    eventually(lambda: redis_answers(lab, "agent3"), 60, "redis answers on the new agent")
