"""The nftables mode: rules as text against a file, and what nft is told for each change."""

from dataclasses import replace
from pathlib import Path

from labkit.components.kube_proxy import nftables_rules
from labkit.components.kube_proxy.nftables_rules import MAPS, frame, rules
from labkit.components.kube_proxy.nftables_table import BATCH, NftablesTable, parse, transactions
from labkit.components.kube_proxy.rules import Contents, Rule, contents
from labkit.components.kube_proxy.served_ports import ServedPort
from tests.unit.components.kube_proxy.served import EMPTY, EVERY, OPEN, STICKY, WEB, A, B

EXPECTED = Path(__file__).with_name("expected") / "nftables.txt"


def every_rule(*ports: ServedPort) -> list[Rule]:
    return [*frame(), *(rule for port in ports for rule in rules(port))]


def wanted(*ports: ServedPort) -> Contents:
    return contents(every_rule(*ports), NftablesTable.containers)


def listing(*ports: ServedPort) -> str:
    """What `nft -s list table` prints once all is written."""
    blocks = []
    for container, lines in wanted(*ports).items():
        if container in MAPS:
            elements = ",\n\t\t\t     ".join(lines)
            body = [MAPS[container], *([f"elements = {{ {elements} }}"] if lines else [])]
        elif container.startswith("set "):
            body = [*lines[0].split("; "), "elements = { 10.0.0.3 timeout 3h }"]
        else:
            body = lines
        blocks.append(f"\t{container} {{\n" + "".join(f"\t\t{line}\n" for line in body) + "\t}\n")
    return "table ip kube-proxy {\n" + "\n".join(blocks) + "}\n"


def told(port: ServedPort, old: ServedPort | None = None) -> list[str]:
    (text,) = transactions(contents(rules(old)) if old else {}, contents(rules(port)))
    return text.splitlines()


def test_the_rules_are_those_of_the_file() -> None:
    assert "".join(f"{rule}\n" for rule in every_rule(*EVERY)) == EXPECTED.read_text()


def test_each_rule_names_its_service_and_its_maker() -> None:
    for port in EVERY:
        for rule in rules(port):
            assert f'comment "{port.name}"' in rule.text or rule.container.startswith("set ")
            assert getattr(nftables_rules, rule.made_by.__name__) is rule.made_by


def test_nothing_to_do() -> None:
    assert parse(listing(*EVERY)) == wanted(*EVERY)
    assert transactions(parse(listing(*EVERY)), wanted(*EVERY)) == []
    assert transactions(contents(rules(STICKY)), contents(rules(STICKY))) == []


def test_a_bare_machine_gets_everything_in_one_transaction() -> None:
    (text,) = transactions({}, wanted(*EVERY))
    lines = text.splitlines()
    assert lines[0] == "add table ip kube-proxy"
    assert len([line for line in lines if line.startswith("add rule")]) == sum(
        not rule.text.startswith("type ") and rule.container not in MAPS for rule in every_rule(*EVERY)
    )
    for line in (line for line in lines if " goto " in line or " jump " in line):
        for target in [word.rstrip(",") for word, before in zip(line.split()[1:], line.split(), strict=False)
                       if before in ("goto", "jump")]:  # fmt: skip
            assert f"add chain ip kube-proxy {target}" in lines[: lines.index(line)]


def test_a_changed_endpoint_touches_its_own_chains_and_no_map() -> None:
    lines = told(replace(WEB, endpoints=(A, B)), WEB)
    assert [line.split()[:2] for line in lines] == [
        ["flush", "chain"], ["add", "rule"], ["flush", "chain"], ["delete", "chain"]
    ]  # fmt: skip
    assert "numgen random mod 2" in lines[1]
    assert lines[2].split()[-1] == lines[3].split()[-1], "the endpoint's chain is emptied before it goes"


def test_an_address_changes_hands_within_one_transaction() -> None:
    lines = told(replace(WEB, name="default/other:"), WEB)
    elements = [line for line in lines if "element" in line]
    assert elements[0] == "delete element ip kube-proxy service-ips { 10.0.0.12 . tcp . 80 }"
    assert elements[1].startswith("add element ip kube-proxy service-ips { 10.0.0.12 . tcp . 80 comment")


def test_losing_the_last_endpoint_moves_the_service_to_the_rejected() -> None:
    lines = told(replace(OPEN, endpoints=()), OPEN)
    assert [line.partition("{")[2] for line in lines if line.startswith("delete element")] == [
        " 10.0.0.14 . udp . 53, 192.0.2.50 . udp . 53 }", " udp . 30053 }"
    ]  # fmt: skip
    assert "".join(lines).count("goto reject-chain") == 3
    gone = [line.split()[-1].partition("-")[0] for line in lines if line.startswith("delete chain")]
    assert gone == ["external", "service", "endpoint"], "none is deleted while another leads to it"


def test_affinity_ends_with_its_sets() -> None:
    lines = told(replace(STICKY, sticky=False), STICKY)
    assert len([line for line in lines if line.startswith("delete set")]) == 2
    assert not [line for line in lines if line.startswith("delete chain")]


def test_what_somebody_flushed_comes_back_alone() -> None:
    have = parse(listing(*EVERY))
    have["map service-ips"] = []
    have["chain nat-output"] = have["chain nat-output"][:1]
    (text,) = transactions(have, wanted(*EVERY))
    (added,) = [line for line in text.splitlines() if line.startswith("add element")]
    assert added.count(" : goto ") == 4
    assert [line for line in text.splitlines() if "nat-output" in line] == [
        "flush chain ip kube-proxy nat-output", "add rule ip kube-proxy nat-output jump services"
    ]  # fmt: skip


def test_many_services_are_written_in_several_transactions_and_the_maps_last() -> None:
    ports = [replace(WEB, name=f"default/s{n}:", cluster_ip=f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    texts = transactions({}, wanted(*ports, EMPTY))
    assert max(text.count("add chain") for text in texts) == BATCH
    assert ["add element" in text for text in texts] == [False] * (len(texts) - 1) + [True]
