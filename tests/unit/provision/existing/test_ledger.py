"""What is labkit's doing on a host and what is somebody else's, as dictionaries."""

import pytest

from labkit.provision.existing.on_host import accounts, firewall
from labkit.provision.existing.on_host.ledger import Ledger, Things, opened, sealed, to_undo

FOUND = {"file /etc/hosts": "644 0 0 aa", "file /etc/resolv.conf": "link ../run/x", "package sudo": "installed"}
OURS = FOUND | {"file /etc/hosts": "644 0 0 bb", "package etcd-server": "installed"}


def after_up() -> Ledger:
    return sealed(opened(None, FOUND)[0], OURS)


def test_nothing_was_changed() -> None:
    ledger = sealed(opened(None, FOUND)[0], FOUND)
    assert ledger.ours == []
    assert to_undo(ledger, FOUND) == []


def test_what_differs_after_up_is_ours() -> None:
    assert after_up().ours == ["file /etc/hosts", "package etcd-server"]
    assert to_undo(after_up(), OURS) == ["file /etc/hosts", "package etcd-server"]


def test_what_is_as_found_again_needs_nothing() -> None:
    assert to_undo(after_up(), FOUND) == []


@pytest.mark.parametrize(
    "edit",
    [
        {"file /etc/motd": "644 0 0 cc"},
        {"package vim": "installed"},
        {"file /etc/resolv.conf": "644 0 0 dd"},
        {"user teacher": "1001 1001 /home/teacher /bin/sh"},
    ],
)
def test_what_somebody_changes_between_two_ups_stays(edit: Things) -> None:
    now = OURS | edit
    ledger, theirs = opened(after_up(), now)
    assert theirs == list(edit)
    assert to_undo(sealed(ledger, now), now) == ["file /etc/hosts", "package etcd-server"]


def test_what_somebody_changes_and_no_second_up_sees_stays_too() -> None:
    assert "file /etc/motd" not in to_undo(after_up(), OURS | {"file /etc/motd": "644 0 0 cc"})


def test_a_file_of_ours_that_somebody_edits_is_still_ours() -> None:
    now = OURS | {"file /etc/hosts": "644 0 0 ee"}
    ledger, theirs = opened(after_up(), now)
    assert theirs == []
    assert to_undo(ledger, now) == ["file /etc/hosts", "package etcd-server"]


def test_an_up_that_was_cut_off_leaves_everything_to_undo() -> None:
    ledger = opened(None, FOUND)[0]
    assert to_undo(ledger, OURS) == ["file /etc/hosts", "package etcd-server"]
    assert opened(ledger, OURS)[1] == [], "and a second up does not take it for somebody else's"


def test_a_second_up_learns_of_more() -> None:
    more = OURS | {"package jq": "installed"}
    ledger = sealed(opened(after_up(), OURS)[0], more)
    assert ledger.ours == ["file /etc/hosts", "package etcd-server", "package jq"]


def test_what_comes_and_goes_with_pods_is_nobodys_edit() -> None:
    ledger, theirs = opened(after_up(), OURS | {"rule iptables nat KUBE-X -j DNAT": "", "image sha256:1": ""})
    assert theirs == []
    assert "image sha256:1" not in ledger.before


def test_it_is_written_and_read() -> None:
    assert Ledger.loads(after_up().dumps()) == after_up()


def test_rules_of_ours_go_before_their_chains_and_others_stay() -> None:
    before = {
        "chain iptables filter F2B": "",
        "rule iptables filter INPUT -j F2B": "",
        "policy iptables filter FORWARD": "ACCEPT",
    }
    now = before | {
        "chain iptables nat KUBE-SVC-1": "",
        "rule iptables nat OUTPUT -j KUBE-SVC-1": "",
        "rule iptables nat KUBE-SVC-1 -j RETURN": "",
        'rule iptables filter INPUT -m comment --comment "by hand" -j DROP': "",
        "policy iptables filter FORWARD": "DROP",
    }
    assert list(firewall.rules([], before, now)) == [
        ["iptables", "-w", "-t", "nat", "-D", "OUTPUT", "-j", "KUBE-SVC-1"],
        ["iptables", "-w", "-t", "nat", "-F", "KUBE-SVC-1"],
        ["iptables", "-w", "-t", "nat", "-X", "KUBE-SVC-1"],
    ]
    assert list(firewall.policies(["policy iptables filter FORWARD"], before)) == [
        ["iptables", "-w", "-t", "filter", "-P", "FORWARD", "ACCEPT"]
    ]


def test_sysctls_go_back() -> None:
    before = {"sysctl net.ipv4.ip_forward": "0"}
    assert list(firewall.kernel(["sysctl net.ipv4.ip_forward", "sysctl new"], before)) == [
        ["sysctl", "-qw", "net.ipv4.ip_forward=0"]
    ]


def test_account_files_with_the_same_lines_in_another_order_are_the_same() -> None:
    assert accounts.same_lines("a\nb\n", "b\na\n")
    assert not accounts.same_lines("a\nb\n", "a\n")
