"""From names to addresses, and what is refused before anything is sent."""

import pytest

from labkit.observe.ends import parse
from labkit.observe.objects import Refused
from labkit.observe.question import Question, ask
from tests.unit.observe import lab, objects


def question(start: str, to: str, via: str = "") -> Question:
    return ask(*parse([start, to]), objects(), lab(), via)


def test_a_pod_asks_a_service() -> None:
    asked = question("pod/client", "redis-master:6379")
    assert (asked.machine.name, asked.target, asked.protocol) == ("agent1", "10.0.0.11:6379", "tcp")
    assert asked.backends == ["10.244.3.5:6379"]
    assert (asked.port_name, asked.to) == ("default/redis-master:", "default/redis-master:6379")


def test_a_pod_may_be_named_by_its_label() -> None:
    assert str(question("pod/name=redis-master", "redis-master").start) == "pod default/redis-master"
    with pytest.raises(Refused, match="no pod with the label name=nobody runs in default"):
        question("pod/name=nobody", "redis-master")
    with pytest.raises(Refused, match="runs in other"):
        question("pod/other/name=redis-master", "redis-master")


def test_the_only_port_need_not_be_named_and_names_of_ports_serve() -> None:
    assert question("node/agent2", "redis-master").target == "10.0.0.11:6379"
    assert question("node/agent2", "two:b").target == "10.0.0.13:2"


def test_an_address_finds_its_service() -> None:
    assert question("pod/client", "10.0.0.11:6379").port_name == "default/redis-master:"
    through = question("pod/client", "10.245.1.13:30080")
    assert (through.port_name, through.to) == ("default/web:", "default/web:80 by 10.245.1.13:30080")
    assert question("pod/client", "10.244.3.5:6379").backends == ["10.244.3.5:6379"]


def test_the_host_goes_through_a_machine_s_own_address() -> None:
    assert question("host", "web:80").target == "10.245.1.12:30080"
    there = question("host", "web:80", via="agent2")
    assert (there.target, there.machine.name) == ("10.245.1.13:30080", "agent2")
    assert question("host", "public").target == "10.245.1.13:8080"
    assert question("host", "10.245.1.11:30080").machine.name == "master"


def test_another_machine_s_node_port_has_a_sender_and_the_machine_whose_rules_count() -> None:
    asked = question("pod/client", "web", via="agent2")
    assert asked.sender is not None
    assert (asked.sender.name, asked.machine.name, asked.target) == ("agent1", "agent2", "10.245.1.13:30080")
    assert question("pod/client", "web", via="agent1").sender is None
    assert question("host", "web", via="agent2").sender is None


@pytest.mark.parametrize(
    ("start", "to", "expected"),
    [
        ("host", "redis-master", "neither a node port nor"),
        ("host", "10.0.0.11:6379", "10.0.0.11 is in the service range.*nothing was sent"),
        ("host", "10.244.3.5:6379", "10.244.3.5 is no machine's"),
        ("host", "192.0.2.1:80", "nothing was sent"),
        ("pod/client", "192.0.2.1:80", "outside of the lab"),
        ("pod/client", "10.0.0.99:80", "no service has 10.0.0.99:80, nor 10.0.0.99 at all"),
        ("pod/client", "10.0.0.11:80", "10.0.0.11 is default/redis-master on 6379"),
        ("pod/client", "redis-maste", "did you mean redis-master"),
        ("pod/clent", "redis-master", "did you mean client"),
        ("pod/redis", "redis-master", "did you mean redis-master"),
        ("pod/client", "other/redis-master", "but default/redis-master"),
        ("pod/client", "redis-master:80", "no port 80: it has 6379"),
        ("pod/client", "two", r"several ports, choose one: 1 \(a\), 2 \(b\)"),
        ("pod/client", "web:30080", "node port of default/web:80: --via agent1"),
        ("pod/client", "headless", "headless"),
        ("node/agent3", "redis-master", "did you mean agent1 or agent2|did you mean agent2 or agent1"),
    ],
)  # fmt: skip
def test_a_wrong_name_or_address_is_refused(start: str, to: str, expected: str) -> None:
    with pytest.raises(Refused, match=expected) as refused:
        question(start, to)
    assert refused.value.exit_code == 2


def test_a_pod_that_does_not_run_cannot_ask() -> None:
    with pytest.raises(Refused, match="is Pending") as refused:
        question("pod/waiting", "web")
    assert refused.value.exit_code == 1
