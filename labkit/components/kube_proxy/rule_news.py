"""What is said about rules: one line for each that came, with the function that made it, and for each that went."""

from collections.abc import Iterable, Mapping

from labkit.api.types import key
from labkit.components.kube_proxy.iptables import CHAINS, Rule
from labkit.components.kube_proxy.nat import Chains
from labkit.trace import Tracer


class RuleNews:
    """Remembers what was wanted last time, to tell what is new from what somebody else took away."""

    def __init__(self, trace: Tracer) -> None:
        self._trace = trace
        self._rules: dict[str, Rule] = {}  # by text

    def all(self, rules: Iterable[Rule], have: Chains, causes: Mapping[str, str]) -> None:
        """The whole table was compared. have: what was there before; causes: service key -> what happened to it."""
        wanted = {str(rule): rule for rule in rules}
        looked_at = (*CHAINS, "PREROUTING", "OUTPUT")
        there = {f"-A {chain} {spec}" for chain in looked_at for spec in have.get(chain, [])}
        for text, rule in wanted.items():
            if text not in there:
                otherwise = "the rule was not there any more" if text in self._rules else "kube-proxy started"
                self._tell("rule added", text, rule, _cause(rule, causes, otherwise))
            elif text not in self._rules:
                self._tell("rule kept", text, rule, "it was there when kube-proxy started")
        for text, rule in self._rules.items():
            if text not in wanted:
                self._tell("rule removed", text, rule, _cause(rule, causes, "no longer wanted"))
        self._rules = wanted

    def some(self, old: Iterable[Rule], new: Iterable[Rule], causes: Mapping[str, str]) -> None:
        """The rules of the services in `causes` were exchanged."""
        gone = {text: rule for rule in old if (text := str(rule)) in self._rules}
        wanted = {str(rule): rule for rule in new}
        for text, rule in wanted.items():
            if gone.pop(text, None) is None:
                self._tell("rule added", text, rule, _cause(rule, causes, "no longer there"))
            self._rules[text] = rule
        for text, rule in gone.items():
            self._tell("rule removed", text, rule, _cause(rule, causes, "no longer wanted"))
            del self._rules[text]

    def _tell(self, decision: str, text: str, rule: Rule, cause: str) -> None:
        self._trace.decision(decision, rule.service, cause=cause, function=rule.made_by, table="nat", rule=text)


def _cause(rule: Rule, causes: Mapping[str, str], otherwise: str) -> str:
    return causes.get(key(rule.service), otherwise) if rule.service else otherwise
