import pytest

from labkit.api.names import (
    C_IDENTIFIER,
    DNS_952_LABEL,
    DNS_LABEL,
    DNS_SUBDOMAIN,
    LABEL_VALUE,
    PORT_NAME,
    QUALIFIED_NAME,
    NameRule,
    is_ip,
    is_ipv4,
)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (DNS_LABEL, ["a", "a-b", "0", "x" * 63], ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "a\n"]),
        (DNS_SUBDOMAIN, ["a.b", "a-b.c0"], ["", ".a", "a.", "a..b", "A.b", "x" * 254]),
        (DNS_952_LABEL, ["redis-master", "a" * 24], ["1a", "a" * 25, "a.b", "-a"]),
        (LABEL_VALUE, ["", "a", "A_b.c-1", "x" * 63], ["-a", "a b", "x" * 64, "a/b"]),
        (C_IDENTIFIER, ["A", "_a1"], ["1a", "a b", "", "a-b"]),
        (PORT_NAME, ["http", "a-b", "p80"], ["", "80", "a--b", "-a", "Http", "abcdefghijklmnop"]),
        (QUALIFIED_NAME, ["app", "example.com/MyName", "A_b.c"], ["", "/a", "a/", "a/b/c", "EXAMPLE/a", "x" * 64]),
    ],
)
def test_names(rule: NameRule, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if rule.fault(name)] == []
    assert [name for name in bad if not rule.fault(name)] == []


def test_a_prefix_may_end_with_a_dash() -> None:
    assert DNS_SUBDOMAIN.prefix_fault("redis-") == ""
    assert DNS_SUBDOMAIN.prefix_fault("-") == ""
    assert DNS_SUBDOMAIN.prefix_fault("-redis") != ""


def test_addresses() -> None:
    assert is_ip("10.0.0.1")
    assert is_ip("::1")
    assert not is_ip("10.0.0")
    assert is_ipv4("10.0.0.1")
    assert not is_ipv4("::1")
    assert not is_ipv4("10.0.0.256")
