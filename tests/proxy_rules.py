"""The rules of 0.18.2's kube-proxy and ours, one by one: `python -m tests.proxy_rules` writes docs/proxy-rules.md.

Both for the same services (unit/components/kube_proxy/recorded_services.json): the original's as iptables-save printed
them on a live cluster, ours as `iptables.render` makes them. That the kernel then holds them is tested by
node/test_kube_proxy.py::test_the_table_is_the_original_s.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labkit.components.kube_proxy.iptables import FIRST, LAST, Portal, Rule, render
from labkit.components.kube_proxy.userspace import service_ports
from tests.unit.components.kube_proxy import recorded

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "proxy-rules.md"
NODE = "10.245.1.12"
# Section of the record -> where the local ports listen.
SECTIONS = {"everywhere": "0.0.0.0", "after deletion": "0.0.0.0", "bound to one address": NODE}
TITLES = {
    "everywhere": "Local ports on all addresses (the default)",
    "after deletion": "After the services were deleted",
    "bound to one address": f"With `--bind-address={NODE}`",
}


class Pair(NamedTuple):
    """original: "" when only we have the rule; ours: None when only the original has it."""

    original: str
    ours: Rule | None

    @property
    def same(self) -> bool:
        return self.ours is not None and self.original == recorded.anonymous(str(self.ours), NODE)


def pairs(section: str) -> list[Pair]:
    """Each rule of the record beside ours, in the record's order; what only we have comes last."""
    wanted = service_ports(recorded.services(section)).values()
    portals = [Portal(each, port, 34000 + n, port.node_port or 0) for n, (each, port) in enumerate(wanted)]
    rules = [*FIRST, *LAST, *render(portals, SECTIONS[section], NODE)]
    ours = {recorded.anonymous(str(rule), NODE): rule for rule in rules}
    originals = recorded.rules(section)
    return [
        *(Pair(text, ours.get(text)) for text in originals),
        *(Pair("", rule) for text, rule in ours.items() if text not in originals),
    ]


def page() -> str:
    """docs/proxy-rules.md."""
    every = {section: pairs(section) for section in SECTIONS}
    count = sum(len(found) for found in every.values())
    same = sum(pair.same for found in every.values() for pair in found)
    lines = [
        "# Rule by rule: the userspace proxy of 0.18.2 and ours",
        "",
        "The services of the record were made here too. `PORT` stands for the local port, which is any free one on",
        f"each machine, `NODE` for the machine's address. Of {count} rules {same} are the same to the letter.",
        "",
    ]
    for section, found in every.items():
        lines += [f"## {TITLES[section]}", "", "| original | ours | made by |", "|---|---|---|"]
        lines += [_row(pair) for pair in found]
        lines.append("")
    lines += [
        "Written by `python -m tests.proxy_rules`. The kernel's table after a real kube-proxy wrote it is held against",
        "the same record by `tests/node/test_kube_proxy.py`. What the later modes write for the same shapes of service",
        "is in `tests/unit/components/kube_proxy/expected/`.",
    ]
    return "\n".join(lines) + "\n"


def _row(pair: Pair) -> str:
    if pair.ours is None:
        return f"| `{pair.original}` | none | |"
    text = "the same" if pair.same else f"`{recorded.anonymous(str(pair.ours), NODE)}`"
    return f"| `{pair.original or 'none'}` | {text} | `{_maker(pair.ours)}` |"


def _maker(rule: Rule) -> str:
    file = Path(inspect.getsourcefile(rule.made_by) or "").relative_to(ROOT)
    return f"{file}:{rule.made_by.__name__}"


def differing(found: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in found if not pair.same]


if __name__ == "__main__":
    PAGE.write_text(page())
