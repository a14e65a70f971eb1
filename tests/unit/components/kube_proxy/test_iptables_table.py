"""The iptables mode: rules as text against a file, and what iptables-restore is told for each change."""

from dataclasses import replace
from pathlib import Path

import pytest

from labkit.components.kube_proxy import iptables_rules
from labkit.components.kube_proxy.iptables_rules import FRAME, frame, rules
from labkit.components.kube_proxy.iptables_table import BATCH, difference, parse, patch, removal
from labkit.components.kube_proxy.rules import Contents, Rule, contents
from labkit.components.kube_proxy.served_ports import ServedPort
from tests.unit.components.kube_proxy.served import EMPTY, EVERY, OPEN, WEB, A, B

EXPECTED = Path(__file__).with_name("expected") / "iptables.txt"


def every_rule(*ports: ServedPort) -> list[Rule]:
    return [*frame(), *(rule for port in ports for rule in rules(port))]


def wanted(*ports: ServedPort) -> Contents:
    return contents(every_rule(*ports), FRAME)


def saved(*ports: ServedPort, last: str = "") -> str:
    """What iptables-save prints once all is written."""
    want = wanted(*ports)
    text = ""
    for table in ("filter", "nat"):
        chains = {name.split()[1]: lines for name, lines in want.items() if name.startswith(table)}
        text += f"*{table}\n" + "".join(f":{chain} - [0:0]\n" for chain in chains)
        for chain, lines in chains.items():
            ordered = sorted(lines, key=lambda line: line.endswith("-j KUBE-NODEPORTS"))
            text += "".join(f"-A {chain} {line}\n" for line in ordered)
        text += f"{last if table == 'nat' else ''}COMMIT\n"
    return text


def told(port: ServedPort, old: ServedPort | None = None) -> list[str]:
    return patch(contents(rules(old)) if old else {}, contents(rules(port))).splitlines()


def test_the_rules_are_those_of_the_file() -> None:
    assert "".join(f"{rule}\n" for rule in every_rule(*EVERY)) == EXPECTED.read_text()


def test_each_rule_names_its_service_and_its_maker() -> None:
    for rule in (rule for port in EVERY for rule in rules(port)):
        assert any(f'--comment "{port.name}' in rule.text for port in EVERY)
        assert getattr(iptables_rules, rule.made_by.__name__) is rule.made_by


def test_nothing_to_do() -> None:
    assert difference(parse(saved(*EVERY)), wanted(*EVERY)) == ""
    assert patch(contents(rules(WEB)), contents(rules(WEB))) == ""
    assert removal(parse("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n")) == ""


def test_a_bare_machine_gets_everything_and_chains_before_what_leads_to_them() -> None:
    text = difference(parse(""), wanted(*EVERY))
    after = {line for line in text.splitlines() if line.startswith(("-A", "-I"))}
    assert len(after) == len(every_rule(*EVERY))
    for rule in every_rule(*EVERY):
        target = rule.text.split(" -j ")[-1].split()[0]
        if target.startswith("KUBE-S"):
            assert text.index(f":{target} ") < text.index(rule.text)


def test_only_the_changed_chains_are_written() -> None:
    lines = told(replace(WEB, endpoints=(A, B)), WEB)
    assert len([line for line in lines if line.startswith(":")]) == 2, "the service's chain and that of the endpoint"
    assert not [line for line in lines if "KUBE-SERVICES" in line]
    assert len([line for line in lines if line.startswith("-X KUBE-SEP-")]) == 1


def test_marks_stand_above_what_they_are_for() -> None:
    inserted = [line for line in told(OPEN) if line.startswith("-I KUBE-SERVICES")]
    assert inserted[-1].endswith("-j KUBE-MARK-MASQ"), "the last inserted is the first rule"
    restored = difference(parse(saved()), wanted(OPEN)).splitlines()
    external = [line for line in restored if "external IP" in line]
    assert [line.split(" -j ")[1][:8] for line in external] == ["KUBE-MAR", "KUBE-SVC"]
    assert [line for line in restored if line.startswith("-A KUBE-SERVICES")][-1].endswith("-j KUBE-NODEPORTS")


def test_a_service_that_loses_its_last_endpoint_is_refused() -> None:
    lines = told(replace(WEB, endpoints=()), WEB)
    assert [line for line in lines if line.startswith("-D")] == [
        '-D KUBE-SERVICES -d 10.0.0.12/32 -p tcp -m comment --comment "default/web: cluster IP" -m tcp --dport 80 '
        "-j KUBE-SVC-LOLE4ISW44XBNF3G"
    ]
    assert len([line for line in lines if "REJECT" in line]) == 1
    assert len([line for line in lines if line.startswith("-X")]) == 4
    vanished = [line for line in lines if line.startswith("-X")]
    assert vanished[0].startswith("-X KUBE-SVC-"), "the chain that refers to the others goes first"


@pytest.mark.parametrize("gone", ["-j KUBE-POSTROUTING", "-j MASQUERADE", "-j KUBE-FIREWALL", "10.0.0.12/32", "DNAT"])
def test_what_somebody_deleted_comes_back(gone: str) -> None:
    lines = saved(*EVERY).splitlines()
    place = next(number for number, line in enumerate(lines) if gone in line)
    (missing,) = lines[place : place + 1]
    text = difference(parse("\n".join(lines[:place] + lines[place + 1 :])), wanted(*EVERY))
    assert missing.split(" ", 1)[1] in text
    assert len(text) < len(difference(parse(""), wanted(*EVERY))) / 2


def test_a_jump_that_is_not_first_is_moved_and_a_doubled_one_is_not_kept() -> None:
    text = saved().replace("-A PREROUTING -m comment", "-A PREROUTING -j DOCKER\n-A PREROUTING -m comment")
    assert text != saved()
    lines = difference(parse(text), wanted()).splitlines()
    assert [line.split()[:2] for line in lines if "PREROUTING" in line] == [["-D", "PREROUTING"], ["-I", "PREROUTING"]]
    doubled = saved(last='-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\n')
    lines = difference(parse(doubled), wanted()).splitlines()
    assert [line.split()[0] for line in lines if "OUTPUT" in line] == ["-D", "-D", "-I"]


def test_removal_takes_all_of_ours_and_nothing_else() -> None:
    lines = removal(parse(saved(*EVERY, last="-A PREROUTING -j DOCKER\n"))).splitlines()
    made = {line.split()[0][1:] for line in saved(*EVERY).splitlines() if line.startswith(":KUBE-")}
    assert {line.split()[1] for line in lines if line.startswith("-X")} == made
    assert len([line for line in lines if line.startswith("-D")]) == 7
    assert "DOCKER" not in " ".join(lines)


def test_many_services_are_written_in_transactions_of_so_many_chains() -> None:
    ports = [replace(WEB, name=f"default/s{n}:", cluster_ip=f"10.0.{n // 250}.{n % 250}") for n in range(600)]
    blocks = difference(parse(""), wanted(*ports, EMPTY)).split("COMMIT\n")
    assert max(block.count("\n:") for block in blocks) == BATCH
    assert ["cluster IP" in block for block in blocks if block.startswith("*nat")] == [False] * 6 + [True]


def test_there_are_not_more_transactions_the_more_services_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.components.kube_proxy.iptables_table.MOST_BATCHES", 2)
    ports = [replace(WEB, name=f"default/s{n}:", cluster_ip=f"10.0.{n // 250}.{n % 250}") for n in range(600)]
    blocks = difference(parse(""), wanted(*ports)).split("COMMIT\n")
    assert sorted(block.count("\n:") for block in blocks)[-2:] == [1200, 1200]
