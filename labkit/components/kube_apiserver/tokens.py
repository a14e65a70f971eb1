"""Who asks, by a bearer token: `Authorization: Bearer ...` is looked up in a file, or is a service account's.

    --token-auth-file           lines of TOKEN,USER,UID[,"GROUP,GROUP"]
    --service-account-key-file  account_tokens.py

Source: pkg/auth/authenticator/token/tokenfile of Kubernetes 0.18.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from labkit.components.kube_apiserver.messages import User


class Authenticate(Protocol):
    """From a token to its user; nobody (`User()`) for one that is not known, or is for none of the audiences (which are
    this server's when none are said)."""

    def __call__(self, token: str, audiences: Collection[str] = ()) -> User: ...


class TokenError(Exception):
    """A file of tokens or keys cannot be used; the message names it and what was expected."""


def bearer(header: str) -> str:
    """The token of an Authorization header; "" for none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def read_tokens(path: Path) -> dict[str, User]:
    """token -> user. Raises TokenError naming the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"--token-auth-file: cannot read {path}: {error}") from error
    tokens = {}
    for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
        if not row:
            continue
        if len(row) not in (3, 4) or not row[0] or not row[1]:
            raise TokenError(f'{path}:{number}: expected TOKEN,USER,UID or TOKEN,USER,UID,"GROUP,GROUP"')
        groups = [group.strip() for group in row[3].split(",")] if len(row) == 4 else []
        tokens[row[0]] = User(row[1], tuple(group for group in groups if group))
    return tokens


def of_file(tokens: Mapping[str, User], own_audiences: Collection[str] = ()) -> Authenticate:
    def authenticate(token: str, audiences: Collection[str] = ()) -> User:
        return User() if audiences and set(audiences).isdisjoint(own_audiences) else tokens.get(token, User())

    return authenticate
