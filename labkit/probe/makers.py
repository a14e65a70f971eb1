"""Which line of labkit's source made a rule.

kube-proxy's rules are known by where they stand (components/kube_proxy/makers.py), those of the machine's network by
the chain LAB-NET: they stand word for word in the script that writes them. Docker's and a learner's are nobody's here.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.components.kube_proxy import makers as kube_proxy
from labkit.components.kube_proxy.balancer import Balancer
from labkit.probe.report import Maker
from labkit.trace import where

NFTABLES_TABLE = kube_proxy.NFTABLES
LAB_NET = "labkit/templates/machine/files/usr/local/sbin/lab-net"
_ROOT = Path(__file__).resolve().parent.parent.parent


def tell(table: str, chain: str, rule: str) -> Maker | None:
    """None when it is no rule of labkit's."""
    if function := kube_proxy.maker(table, chain, rule):
        return _maker(function)
    if chain == "LAB-NET" or rule.endswith("-j LAB-NET"):
        return Maker(function="", file=LAB_NET, line=_line_of(rule))
    return None


def chooser(mode: str) -> Maker | None:
    """What picks the endpoint in the process kube-proxy; None where the kernel does."""
    return _maker(Balancer.next) if mode == "userspace" else None


def _maker(function: Callable[..., Any]) -> Maker:
    found = where(function)
    return Maker(function=found["function"].partition(":")[2], file=found["file"], line=found["line"])


def _line_of(rule: str) -> int:
    """The line of the script with this rule's comment, or the same ending; its first line when none has."""
    comment = re.search(r'--comment "[^"]+"', rule)
    wanted = (f"{comment[0]} -j", rule.rpartition(" -j ")[2]) if comment else (rule, "")
    for script in (_ROOT / LAB_NET, Path("/usr/local/sbin/lab-net")):  # in the repository, on a machine
        if script.exists():
            for number, line in enumerate(script.read_text().splitlines(), 1):
                if all(word in line for word in wanted):
                    return number
    return 1
