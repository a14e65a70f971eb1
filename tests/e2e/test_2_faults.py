"""Faults on real machines: made, seen, healed; nothing of them stays."""

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
    """The machine's own timer, as if nobody could reach it any more."""
    printed = lab.labkit("fault", "partition", "agent1", "agent2", "--dry-run")
    assert f"iptables -N {CHAIN}-1" in printed
    assert "no faults" in lab.labkit("fault", "list")
    assert "10.244." in printed, "pods' packets, too"
    assert "whole again after" in lab.labkit("fault", "partition", "agent1", "agent2", "--for", "5")
    assert CHAIN not in lab.on("agent1", "iptables -S")
    assert not lab.on("agent1", "systemctl list-timers --all | grep labkit-heal || true")


def test_a_wrong_clock(lab: Lab) -> None:
    lab.labkit("fault", "skew", "kube-scheduler", "--by", "7200")
    ahead = "t=$(journalctl -u kube-scheduler -n 1 -o cat | jq .time); [ $((t / 1000000 - $(date +%s))) -gt 3600 ]"
    lab.on("master", f"for try in $(seq 20); do {ahead} && exit 0; sleep 0.5; done; exit 1")
    assert "whole again after" in lab.labkit("fault", "heal")
    assert "LD_PRELOAD" not in lab.on("master", "systemctl show kube-scheduler -p Environment")


def test_what_is_not_there_is_told(lab: Lab) -> None:
    assert "kubelet@agent1 or kubelet@agent2" in lab.labkit("fault", "kill", "kubelet", rc=2)
    assert "not found" in lab.labkit("fault", "kill", "pod/nobody", rc=2)
