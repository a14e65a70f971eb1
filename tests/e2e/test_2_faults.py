"""Faults on real machines: made, seen, healed; nothing of them stays."""

import subprocess
import sys

import pytest

from labkit.provision.faults.plan import CHAIN
from tests.e2e.conftest import Lab

pytestmark = pytest.mark.timeout(300)


def test_a_stopped_component_is_seen_and_healed(lab: Lab) -> None:
    lab.labkit("fault", "stop", "kube-scheduler")
    seen = lab.labkit("status", rc=1)
    assert "kube-scheduler@master is stopped (labkit fault heal 1)" in seen
    assert "kube-scheduler is inactive" in seen
    assert "whole again after" in lab.labkit("fault", "heal")
    assert "fault" not in lab.labkit("status")


def test_a_partition_heals_itself_on_the_machine(lab: Lab) -> None:
    """The machine's own timer: labkit is killed as soon as the fault is made."""
    printed = lab.labkit("fault", "partition", "agent1", "agent2", "--dry-run")
    assert f"iptables -N {CHAIN}-1" in printed
    assert "10.244." in printed, "pods' packets, too"
    assert "no faults" in lab.labkit("fault", "list")
    command = [sys.executable, "-m", "labkit.cli", "fault", "partition", "agent1", "--for", "10s"]
    with subprocess.Popen(command, env=lab.env, text=True, stdout=subprocess.PIPE) as made:
        assert made.stdout
        assert any("nothing passes, for 10 s" in line for line in made.stdout)
        made.kill()
    lab.on("agent1", f"for try in $(seq 60); do iptables -S | grep -q {CHAIN} || exit 0; sleep 0.5; done; exit 1")
    assert "over, the machine healed it itself" in " ".join(lab.labkit("fault", "list").split())
    assert "whole again after" in lab.labkit("fault", "heal")
    assert not lab.on("agent1", "systemctl list-timers --all | grep labkit-heal || true")


def test_a_wrong_clock(lab: Lab) -> None:
    lab.labkit("fault", "skew", "kube-scheduler", "--by", "7200")
    ahead = "t=$(journalctl -u kube-scheduler -n 1 -o cat | jq .time); [ $((t / 1000000 - $(date +%s))) -gt 3600 ]"
    lab.on("master", f"for try in $(seq 20); do {ahead} && exit 0; sleep 0.5; done; exit 1")
    assert "whole again after" in lab.labkit("fault", "heal")
    assert "LD_PRELOAD" not in lab.on("master", "systemctl show kube-scheduler -p Environment")


def test_a_full_disk_is_a_small_one_over_the_real_one(lab: Lab) -> None:
    before = lab.on("agent1", "df --output=avail / | tail -n 1; ls /var/lib/kubelet")
    lab.labkit("fault", "disk", "agent1")
    said = lab.on(
        "agent1", "ls /var/lib/kubelet; echo much > /var/lib/kubelet/new 2>&1 || df -h /var/lib/kubelet", rc=0
    )
    assert "100%" in said
    assert before.splitlines()[1:] == said.splitlines()[: len(before.splitlines()) - 1], "what was there is still there"
    lab.on("agent1", "for try in $(seq 60); do journalctl -u kubelet -o cat -n 50 | grep -q 'out of disk' && exit 0;"
           " sleep 0.5; done; exit 1")  # fmt: skip
    assert "agent1: the disk of the volumes is full" in lab.labkit("status", rc=None)
    assert "whole again after" in lab.labkit("fault", "heal")
    assert "labkit-fault" not in lab.on("agent1", "cat /proc/mounts")
    lab.on("agent1", "echo much > /var/lib/kubelet/new && rm /var/lib/kubelet/new")


def test_what_is_not_there_is_told(lab: Lab) -> None:
    assert "kubelet@agent1 or kubelet@agent2" in lab.labkit("fault", "kill", "kubelet", rc=2)
    assert "not found" in lab.labkit("fault", "kill", "pod/nobody", rc=2)
    assert "shares the host's clock" in lab.labkit("fault", "skew", "agent1", rc=2)
    assert "take one of agent1, agent2" in lab.labkit("fault", "disk", "master", rc=2)
