"""Label selectors: `app=redis,tier in (front, back),!canary` -> Selector.

    key            the label exists           key = value, key == value     it has this value
    !key           it does not                key != value                  it has not (or does not exist)
    key =          its value is empty         key !=                        it is not (or does not exist)
    key in (a, b)  one of these values        key notin (a, b)              none of them (or does not exist)

Requirements are joined by commas, and all must hold. The errors are those of Kubernetes 1.0, misspelling included;
`!key` and `key=` came later and kubectl uses them. Source: pkg/labels of Kubernetes 1.0, its grammar in words.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from labkit.api.errors import BadRequest
from labkit.api.names import LABEL_VALUE, QUALIFIED_NAME

_TOKEN = re.compile(r"\s*(==|!=|[=!(),]|[^\s=!(),]+)")
_OPERATORS = ("=", "==", "!=", "in", "notin")
_SYMBOLS = frozenset(["=", "==", "!=", "!", "(", ")", ",", ""])


class Requirement(msgspec.Struct, frozen=True):
    """operator: in, notin (also what = and != mean), exists or ! (does not exist)."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
        return value is None

    def __str__(self) -> str:
        if self.operator == "exists":
            return self.key
        if self.operator == "!":
            return f"!{self.key}"
        if len(self.values) == 1 and "" not in self.values:
            return f"{self.key}{'=' if self.operator == 'in' else '!='}{next(iter(self.values))}"
        return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"


class Selector(msgspec.Struct, frozen=True):
    """All requirements must hold; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()


@lru_cache(maxsize=1024)
def parse_selector(text: str) -> Selector:
    """BadRequest, in the words of Kubernetes 1.0, when the text is not a selector."""
    return _Parser(text).selector()


class _Parser:
    """A recursive descent of one token look-ahead; the end of the text is the token ''."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = [*_TOKEN.findall(text), ""]
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at]

    def take(self) -> str:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def selector(self) -> Selector:
        requirements: list[Requirement] = []
        if not self.peek():
            return EVERYTHING
        if self.peek() in _SYMBOLS and self.peek() != "!":
            raise BadRequest(f"found '{self.peek()}', expected: identifier or 'end of string'")
        while True:
            try:
                requirements.append(self.requirement())
            except _SyntaxFault as fault:
                raise BadRequest(f"unable to parse requiremnt: {fault}") from None
            after = self.take()
            if not after:
                return Selector(tuple(requirements))
            if after != ",":
                raise BadRequest(f"found '{after}', expected: ',' or 'end of string'")
            if self.peek() in _SYMBOLS and self.peek() != "!":
                raise BadRequest(f"found '{self.peek()}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return Requirement(self.key(), "!")
        key = self.key()
        if self.peek() in ("", ","):
            return Requirement(key, "exists")
        operator = self.take()
        if operator not in _OPERATORS:
            raise _SyntaxFault(f"found '{operator}', expected: '=', '!=', '==', 'in', notin'")
        if operator in ("in", "notin"):
            return Requirement(key, operator, self.values())
        value = "" if self.peek() in ("", ",") else self.take()
        if value in _SYMBOLS and value:
            raise _SyntaxFault(f"found '{value}', expected: identifier")
        return Requirement(key, "notin" if operator == "!=" else "in", frozenset([_checked_value(value)]))

    def key(self) -> str:
        key = self.take()
        if key in _SYMBOLS:
            raise _SyntaxFault(f"found '{key}', expected: identifier")
        if fault := QUALIFIED_NAME.fault(key):
            raise _SyntaxFault(f"label key {fault}")
        return key

    def values(self) -> frozenset[str]:
        """`(a, b)`; a missing value between commas, and the one of `()`, is the empty text."""
        if (token := self.take()) != "(":
            raise _SyntaxFault(f"found '{token}' expected: '('")
        values = set()
        while True:
            value = "" if self.peek() in (",", ")") else self.take()
            if value in _SYMBOLS and (value or not self.peek()):
                raise _SyntaxFault(f"found '{value}', expected: ',', ')' or identifier")
            values.add(_checked_value(value))
            after = self.take()
            if after == ")":
                return frozenset(values)
            if after != ",":
                raise _SyntaxFault(f"found '{after}', expected: ',' or ')'")


class _SyntaxFault(ValueError):
    """Found this, expected that; becomes a BadRequest where the requirement ends."""


def _checked_value(value: str) -> str:
    if fault := LABEL_VALUE.fault(value):
        raise _SyntaxFault(f"label value {fault}")
    return value
