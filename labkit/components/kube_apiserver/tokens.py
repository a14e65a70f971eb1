"""Who asks, by a bearer token: `Authorization: Bearer ...` is looked up in a file, or is a service account's.

    --token-auth-file           lines of TOKEN,USER,UID[,"GROUP,GROUP"]
    --service-account-key-file  tokens that the key's other half signed, whose account and secret are still there

Source: pkg/auth/authenticator/token/tokenfile and pkg/serviceaccount/jwt.go of Kubernetes 0.18; that the account and
its secret are looked up was a flag there (--service-account-lookup).
"""

from __future__ import annotations

import csv
import hmac
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from labkit.api import service_accounts as words
from labkit.api.types import Secret, ServiceAccount
from labkit.components.kube_apiserver.admission.plugin import View
from labkit.components.kube_apiserver.messages import User

Authenticate = Callable[[str], User]
"""From a token to its user; nobody (`User()`) for one that is not known."""


class TokenError(Exception):
    """A file of tokens or keys cannot be used; the message names it and what was expected."""


def bearer(header: str) -> str:
    """The token of an Authorization header; "" for none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


# -- a file of tokens ----------------------------------------------------------------------------------------------


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


def of_file(tokens: Mapping[str, User]) -> Authenticate:
    return lambda token: tokens.get(token, User())


# -- service accounts ----------------------------------------------------------------------------------------------


def verifier(pem: bytes) -> Callable[[str], dict[str, Any] | None]:
    """token -> its claims, None when this key's other half did not sign it. The PEM may be of either half.

    Raises TokenError.
    """
    key = _public(pem)
    algorithm = "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"

    @lru_cache(maxsize=1024)
    def verify(token: str) -> dict[str, Any] | None:
        try:
            return jwt.decode(token, key, algorithms=[algorithm], issuer=words.ISSUER)
        except jwt.InvalidTokenError:
            return None

    return verify


def _public(pem: bytes) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    try:
        if b"PRIVATE KEY" in pem:
            key: Any = serialization.load_pem_private_key(pem, password=None).public_key()
        else:
            key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TokenError(f"--service-account-key-file: {error}") from error
    if isinstance(key, rsa.RSAPublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise TokenError("--service-account-key-file: expected an RSA key or one of the curve P-256 (PEM)")


def of_service_accounts(verify: Callable[[str], dict[str, Any] | None], view: View) -> Authenticate:
    def authenticate(token: str) -> User:
        claims = verify(token)
        return user_of(claims, token, view) if claims else User()

    return authenticate


def user_of(claims: Mapping[str, Any], token: str, view: View) -> User:
    """The decision: whose verified token it is; nobody's when its secret or account is gone or another one now."""
    namespace, name, uid, secret_name = (
        str(claims.get(claim, ""))
        for claim in (words.NAMESPACE_CLAIM, words.NAME_CLAIM, words.UID_CLAIM, words.SECRET_CLAIM)
    )
    secret = view.get(Secret, secret_name, namespace)
    account = view.get(ServiceAccount, name, namespace)
    if secret is None or account is None or account.metadata.uid != uid:
        return User()
    if not hmac.compare_digest(secret.data.get(words.TOKEN_KEY, b""), token.encode()):
        return User()
    return User(words.user_name(namespace, name), words.groups(namespace))
