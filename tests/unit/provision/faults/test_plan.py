"""Faults as commands: what is typed where, and how it is undone."""

import subprocess
from pathlib import Path

import pytest

from labkit.cluster import Cluster, init
from labkit.provision.faults import plan
from labkit.provision.faults.plan import Plan
from labkit.provision.faults.target import Target, Unclear, parse


@pytest.fixture
def cluster(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return init("lab", agents=2)


def lines(commands: tuple[plan.Command, ...]) -> list[str]:
    return [str(command) for command in commands]


def test_targets(cluster: Cluster) -> None:
    assert str(parse(cluster, "agent1")) == "agent1"
    assert str(parse(cluster, "etcd")) == "etcd@master"
    assert str(parse(cluster, "kubelet@agent2")) == "kubelet@agent2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kubelet", "say kubelet@agent1 or kubelet@agent2"),
        ("etcd@agent1", "agent1 runs no etcd: it runs kube-proxy, kubelet, docker"),
        ("kubelet@moon", "no machine 'moon'"),
        ("moon", r"no 'moon': a machine \(master, agent1, agent2\), a service \(docker, .*kubelet\) or pod/NAME"),
    ],
)
def test_a_target_that_is_not_there_is_told_what_is(cluster: Cluster, text: str, said: str) -> None:
    with pytest.raises(Unclear, match=said):
        parse(cluster, text)


def test_a_killed_service_comes_back_by_itself(cluster: Cluster) -> None:
    killed = plan.kill(cluster, parse(cluster, "kube-proxy@agent1"))
    assert lines(killed.make) == ["[agent1] # systemctl kill --signal=KILL kube-proxy"]
    assert not killed.lasts


def test_a_stopped_service_is_started(cluster: Cluster) -> None:
    stopped = plan.stop(cluster, parse(cluster, "etcd"))
    assert lines(stopped.make + stopped.undo) == ["[master] # systemctl stop etcd", "[master] # systemctl start etcd"]


def test_a_paused_machine_is_a_paused_container(cluster: Cluster) -> None:
    paused = plan.pause(cluster, parse(cluster, "agent1"))
    assert lines(paused.make) == ["[host] # docker pause lab-agent1"]
    assert paused.undo[0].text.startswith("docker unpause lab-agent1")
    cluster.provider = "libvirt"
    with pytest.raises(Unclear, match="cannot be paused"):
        plan.pause(cluster, parse(cluster, "agent1"))
    assert plan.kill(cluster, parse(cluster, "agent1")).make[0].machine == "agent1"


def test_a_pods_process_is_found_by_its_labels(cluster: Cluster) -> None:
    target = Target(cluster.machine("agent1"), pod="default/web", container="nginx")
    command = plan.kill(cluster, target).make[0].text
    assert "label=io.kubernetes.pod.name=default/web -f name=k8s_nginx[.]" in command


def cut(cluster: Cluster, one_way: bool = False) -> Plan:
    return plan.partition(cluster, cluster.machine("agent1"), [cluster.machine("agent2")], 7, one_way)


def test_a_partition_names_the_other_machine_and_its_pods_and_nothing_else(cluster: Cluster) -> None:
    texts = [command.text for command in cut(cluster).make]
    assert texts == [
        "iptables -N LABKIT-FAULT-7",
        "iptables -A LABKIT-FAULT-7 -d 10.245.1.13 -j DROP",
        "iptables -A LABKIT-FAULT-7 -s 10.245.1.13 -j DROP",
        "iptables -A LABKIT-FAULT-7 -d 10.244.3.0/24 -j DROP",
        "iptables -A LABKIT-FAULT-7 -s 10.244.3.0/24 -j DROP",
        "iptables -I INPUT -j LABKIT-FAULT-7",
        "iptables -I OUTPUT -j LABKIT-FAULT-7",
        "iptables -I FORWARD -j LABKIT-FAULT-7",
    ]
    assert not [text for text in texts if cluster.host_address in text.split()], "our own way in"
    assert not [command.text for command in cut(cluster, one_way=True).make if " -s " in command.text]


def test_what_is_undone_twice_or_was_never_made_is_no_error(cluster: Cluster) -> None:
    everything = [cut(cluster), plan.pause(cluster, parse(cluster, "kubelet@agent1"))]
    everything.append(plan.delay(cluster, cluster.machine("agent1"), 50))
    for command in (command for each in everything for command in each.undo):
        stub = "iptables() { return 1; }; systemctl() { return 1; }; tc() { return 1; }; ip() { return 1; }; "
        assert subprocess.run(["bash", "-c", stub + command.text], check=False).returncode == 0, command


def test_a_bounded_fault_is_undone_by_the_machine_itself(cluster: Cluster) -> None:
    bounded = plan.bounded(cut(cluster), 30, 7)
    timer = bounded.make[0].text
    assert timer.startswith(
        "systemd-run --quiet --collect --unit=labkit-heal-7 --on-active=30 --timer-property=AccuracySec=100ms"
    )
    assert all(command.text in timer for command in cut(cluster).undo)
    assert bounded.undo[-1].text.startswith("systemctl stop labkit-heal-7.timer")
    assert plan.bounded(plan.pause(cluster, parse(cluster, "agent1")), 9, 1).make[0].text == "docker pause lab-agent1"


def test_only_what_is_python_has_a_clock_of_its_own(cluster: Cluster) -> None:
    skewed = plan.skew(parse(cluster, "kube-scheduler"), -60)
    assert "Environment=FAKETIME=-60s" in skewed.make[0].text
    with pytest.raises(Unclear, match="clock of its own"):
        plan.skew(parse(cluster, "etcd"), 60)


@pytest.mark.parametrize(("seconds", "ahead", "back"), [(60, "+60", "-60"), (-60, "-60", "+60")])
def test_a_virtual_machine_has_a_clock_a_container_has_not(
    cluster: Cluster, seconds: int, ahead: str, back: str
) -> None:
    machine = cluster.machine("agent1")
    with pytest.raises(Unclear, match=r"shares the host's clock.* \(kube-proxy, kubelet\)"):
        plan.skew_machine(cluster, machine, seconds)
    cluster.provider = "libvirt"
    skewed = plan.skew_machine(cluster, machine, seconds)
    assert f"date -s '{ahead} seconds'" in skewed.make[0].text
    assert f"date -s '{back} seconds'" in skewed.undo[0].text


def test_a_clock_is_set_back_once(cluster: Cluster, tmp_path: Path) -> None:
    """The second time, and after a reboot that emptied /run, nothing is set."""
    cluster.provider = "libvirt"
    skewed = plan.skew_machine(cluster, cluster.machine("agent1"), 60)
    stub = 'date() { echo "$@"; }; timedatectl() { :; }; '
    both = "\n".join(command.text.replace("/run", str(tmp_path)) for command in (*skewed.make, *skewed.undo * 2))
    done = subprocess.run(["bash", "-c", stub + both], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["-s +60 seconds", "-s -60 seconds"]
