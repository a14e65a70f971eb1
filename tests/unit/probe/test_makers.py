"""Each rule is traced back to the function that made it."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import labkit
from labkit.components.kube_proxy import iptables, iptables_rules, nftables_rules
from labkit.components.kube_proxy import makers as kube_proxy
from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.iptables import FIRST, LAST, render
from labkit.components.kube_proxy.rules import Rule
from labkit.components.kube_proxy.served_ports import ServedPort
from labkit.components.kube_proxy.userspace import service_ports
from labkit.probe import makers
from tests.unit.components.kube_proxy import recorded
from tests.unit.components.kube_proxy.test_iptables import portals


def test_every_rule_of_the_userspace_mode_is_known_by_its_place() -> None:
    services = recorded.services("everywhere")
    assert service_ports(services)
    rules = [*FIRST, *LAST, *render(portals(services), "0.0.0.0", "10.245.1.12")]
    assert len(rules) > 30
    for rule in rules:
        assert kube_proxy.maker("nat", rule.chain, str(rule)) is rule.made_by, rule


def served() -> list[ServedPort]:
    """A service port with everything, and one with everything but endpoints."""
    endpoints = (Address("10.244.2.2", 8000), Address("10.244.3.3", 8000))
    front: dict[str, Any] = {"protocol": "tcp", "cluster_ip": "10.0.0.12", "port": 80, "node_port": 30080}
    return [
        ServedPort(name="default/web:", external_ips=("192.0.2.50",), endpoints=endpoints, sticky=True, **front),
        ServedPort(name="default/none:", external_ips=("192.0.2.51",), **front),
    ]


def functions_that_make_rules(module: ModuleType) -> set[Callable[..., Any]]:
    return {
        function for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and name != "frame" and function.__module__ == module.__name__
        and function.__annotations__.get("return") in (Rule, list[Rule])
    }  # fmt: skip


def test_every_rule_of_the_iptables_mode_is_known_by_its_place() -> None:
    rules = [*iptables_rules.frame(), *(rule for port in served() for rule in iptables_rules.rules(port))]
    for rule in rules:
        table, _, chain = rule.container.partition(" ")
        assert kube_proxy.maker(table, chain, f"-A {chain} {rule.text}") is rule.made_by, rule
    assert {rule.made_by for rule in rules} == functions_that_make_rules(iptables_rules), "each of them was tried"


def test_every_rule_and_element_of_the_nftables_mode_is_known_by_its_place() -> None:
    rules = [*nftables_rules.frame(), *(rule for port in served() for rule in nftables_rules.rules(port))]
    for rule in rules:
        where = rule.container.removeprefix("chain ")
        assert kube_proxy.maker("kube-proxy", where, rule.text) is rule.made_by, rule
    assert {rule.made_by for rule in rules} == functions_that_make_rules(nftables_rules), "each of them was tried"


def test_the_line_told_is_the_line_of_the_function() -> None:
    made = makers.tell("nat", "KUBE-PORTALS-HOST", "-A KUBE-PORTALS-HOST -d 10.0.0.11/32 -j DNAT --to-destination y")
    assert made is not None
    lines = inspect.getsource(iptables).splitlines()
    assert made.function == "host_portal"
    assert made.file == "labkit/components/kube_proxy/iptables.py"
    assert lines[made.line - 1].startswith("def host_portal(")


def test_the_machine_s_own_rules_are_found_in_the_script_that_writes_them() -> None:
    comment = '-m comment --comment "lab-net: no such service"'
    rule = f"-A LAB-NET -d 10.0.0.0/16 -p tcp {comment} -j REJECT --reject-with tcp-reset"
    made = makers.tell("filter", "LAB-NET", rule)
    assert made is not None
    assert made.file.endswith("/lab-net")
    line = (Path(labkit.__path__[0]).parent / made.file).read_text().splitlines()[made.line - 1]
    assert line.startswith("-A LAB-NET ")
    assert line.endswith("--reject-with tcp-reset")


def test_docker_s_and_a_learner_s_rules_are_nobody_s() -> None:
    for chain, rule in (("DOCKER", "-A DOCKER -i docker0 -j RETURN"), ("PREROUTING", "-A PREROUTING -j DOCKER")):
        assert makers.tell("nat", chain, rule) is None
    assert makers.tell("filter", "KUBE-PORTALS-HOST", "-A KUBE-PORTALS-HOST -j x") is None
