"""docs/proxy-rules.md against the record and the code."""

import pytest

from labkit.components.kube_proxy.iptables import FIRST
from tests import proxy_rules
from tests.proxy_rules import Pair


@pytest.mark.parametrize("section", proxy_rules.SECTIONS)
def test_every_rule_is_the_original_s(section: str) -> None:
    assert proxy_rules.differing(proxy_rules.pairs(section)) == []


def test_a_rule_that_differs_would_be_shown() -> None:
    assert not Pair("-A OUTPUT -j ACCEPT", FIRST[0]).same
    assert not Pair("-A OUTPUT -j ACCEPT", None).same
    assert not Pair("", FIRST[0]).same


def test_the_page_is_current() -> None:
    assert proxy_rules.PAGE.read_text() == proxy_rules.page(), "python -m tests.proxy_rules writes it anew"
