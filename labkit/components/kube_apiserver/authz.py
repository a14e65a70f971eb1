"""May they? Attribute-based access control: a file of lines, and any line that matches allows.

    {"user": "system:kube-scheduler", "resource": "pods", "readonly": true}
    {"group": "system:nodes", "resource": "pods", "verbs": ["delete"]}

Fields of Kubernetes 0.18: user, group, resource, namespace, readonly; labkit adds verbs. A field that is absent matches
anything, all fields of a line must match. `pods` covers the pods' subresources, `pods/status` is only that one; what
connects to something that runs (exec, attach, portforward, proxy) or hands out a token has to be named itself:
`pods/exec`, `serviceaccounts/token`. Blank lines and lines that start with # are skipped. Members of system:masters
may do everything. Discovery, /version and /healthz may be read by every authenticated user.
Source: docs/authorization.md of Kubernetes 0.18.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from labkit.api.errors import Forbidden
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.routes import NAMED_ONLY

READING = frozenset(("get", "list", "watch"))
MASTERS = "system:masters"


class PolicyError(Exception):
    """The policy file cannot be used; the message names file, line and what was expected."""


class Attributes(NamedTuple):
    """What somebody wants to do. resource "" is a path outside of the API's objects."""

    user: User
    verb: str
    namespace: str
    resource: str
    path: str
    name: str = ""


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line of the file."""

    user: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    readonly: bool = False
    verbs: list[str] = []

    def allows(self, wish: Attributes) -> bool:
        return (
            (not self.user or self.user == wish.user.name)
            and (not self.group or self.group in wish.user.groups)
            and (not self.resource or self.covers(wish.resource))
            and (not self.namespace or self.namespace == wish.namespace)
            and (not self.readonly or wish.verb in READING)
            and (not self.verbs or wish.verb in self.verbs)
        )

    def covers(self, resource: str) -> bool:
        """Is this the resource that is meant, or the object below which it hangs?"""
        owner, _, subresource = resource.partition("/")
        return resource == self.resource or (owner == self.resource and subresource not in NAMED_ONLY)


def read_policy(path: Path) -> list[Rule]:
    """The rules of a policy file; raises PolicyError."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"--authorization-policy-file: cannot read {path}: {error}") from error
    return [
        _rule(line, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _rule(line: str, where: str) -> Rule:
    try:
        return msgspec.json.decode(line, type=Rule)
    except msgspec.MsgspecError as error:
        fields = "user, group, resource, namespace, readonly, verbs"
        raise PolicyError(f"{where}: expected one JSON object with any of {fields}: {error}") from error


def allowed(rules: Sequence[Rule], wish: Attributes) -> bool:
    """The decision."""
    return is_for_all(wish) or any(rule.allows(wish) for rule in rules)


def is_for_all(wish: Attributes) -> bool:
    """What needs no line: masters may everything, and everybody may look at what is no object (/version, ...)."""
    return MASTERS in wish.user.groups or (not wish.resource and wish.verb in READING)


def forbidden(wish: Attributes) -> Forbidden:
    """The refusal: who, what and where."""
    where = f' in the namespace "{wish.namespace}"' if wish.namespace else " at the cluster scope"
    if not wish.resource:
        return Forbidden(f'User "{wish.user.name}" cannot {wish.verb} path "{wish.path}"')
    resource = wish.resource.partition("/")[0]
    text = f'{resource} is forbidden: User "{wish.user.name}" cannot {wish.verb} resource "{wish.resource}"{where}'
    return Forbidden(text, kind=resource)
