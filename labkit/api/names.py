"""What may be called how: each rule of Kubernetes 1.0 with its expression, its length and its sentence.

The names of the rules are those of the RFCs and of Kubernetes' docs/identifiers.md. Source: pkg/util/validation.go and
pkg/api/validation of Kubernetes 1.0; the sentences are what its clients saw.
"""

import ipaddress
import re
from functools import lru_cache

_REMEMBERED = 256  # characters: memory is not for megabytes of nonsense
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"


class NameRule:
    """pattern: of the whole name; longest: in characters; sentence: what the client is told.

    The latest judgements are kept: the names in a thousand pods of one template are the same.
    """

    def __init__(self, pattern: re.Pattern[str], longest: int, sentence: str) -> None:
        self.pattern = pattern
        self.longest = longest
        self.sentence = sentence
        self._remembered = lru_cache(maxsize=1024)(self._judged)

    def fault(self, name: str) -> str:
        """Empty when the name is fine, else the sentence."""
        return self._remembered(name) if len(name) < _REMEMBERED else self._judged(name)

    def _judged(self, name: str) -> str:
        return "" if len(name) <= self.longest and self.pattern.fullmatch(name) else self.sentence

    def prefix_fault(self, prefix: str) -> str:
        """As `fault`, for a text to which more will be added: it may end with a dash."""
        return self.fault(prefix[:-1] + "a" if prefix.endswith("-") else prefix)


def _rule(pattern: str, longest: int, sentence: str) -> NameRule:
    return NameRule(re.compile(pattern), longest, sentence)


DNS_LABEL = _rule(_LABEL, 63, f'must be a DNS label (at most 63 characters, matching regex {_LABEL}): e.g. "my-name"')
DNS_SUBDOMAIN = _rule(
    _SUBDOMAIN,
    253,
    f'must be a DNS subdomain (at most 253 characters, matching regex {_SUBDOMAIN}): e.g. "example.com"',
)
DNS_952_LABEL = _rule(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    24,
    'must be a DNS 952 label (at most 24 characters, matching regex [a-z]([-a-z0-9]*[a-z0-9])?): e.g. "my-name"',
)
LABEL_VALUE = _rule(
    f"({_QUALIFIED})?",
    63,
    f'must have at most 63 characters, matching regex ({_QUALIFIED})?: e.g. "MyValue" or ""',
)
C_IDENTIFIER = _rule(
    "[A-Za-z_][A-Za-z0-9_]*",
    10**6,
    'must be a C identifier (matching regex [A-Za-z_][A-Za-z0-9_]*): e.g. "my_name" or "MyName"',
)
DATA_KEY = _rule(
    # neither "." nor anything that leads out of a directory
    r"(?!\.$|\.\.)[-._a-zA-Z0-9]+",
    253,
    "must have at most 253 characters, consist of alphanumeric characters, '-', '_' or '.', "
    "and neither be '.' nor begin with '..': e.g. \"key.name\" or \"KEY_NAME\"",
)
PORT_NAME = _rule(
    # a letter somewhere, no two dashes side by side
    r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]*[a-z0-9])?",
    15,
    "must be an IANA_SVC_NAME (at most 15 characters, matching regex [a-z0-9]([a-z0-9-]*[a-z0-9])*, it must contain "
    'at least one letter [a-z], and hyphens cannot be adjacent to other hyphens): e.g. "http"',
)


class _QualifiedNameRule(NameRule):
    """`name` or `dns.subdomain/name`: each part has a length of its own."""

    def _judged(self, name: str) -> str:
        prefix, slash, last = name.rpartition("/")
        if slash and DNS_SUBDOMAIN.fault(prefix):
            return self.sentence
        return super()._judged(last)


QUALIFIED_NAME = _QualifiedNameRule(
    re.compile(_QUALIFIED),
    63,
    f"must be a qualified name (at most 63 characters, matching regex {_QUALIFIED}), with an optional DNS subdomain "
    f"prefix (at most 253 characters, matching regex {_SUBDOMAIN}) and slash (/): "
    'e.g. "MyName" or "example.com/MyName"',
)


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address; the zone of one (`fe80::1%eth0`) means nothing on another machine."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
