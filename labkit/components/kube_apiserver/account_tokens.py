"""Whose token is it? Tokens of service accounts, verified by --service-account-key-file.

    signed by the key's other half                          verify(): the costly part, remembered per token
    its secret is there and holds it                        one of a secret
    not before, not after; for this server; its pod there   one that was asked for (token_requests.py)
    its account is there, the same as then                  both

Source: pkg/serviceaccount/jwt.go of Kubernetes 0.18, where looking up the account was a flag, and claims.go of 1.22.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.types import Options

from labkit.api import service_accounts as words
from labkit.api.types import Pod, Secret, ServiceAccount
from labkit.components.kube_apiserver.admission.plugin import View
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_apiserver.tokens import Authenticate, TokenError

Claims = Mapping[str, Any]
Verify = Callable[[str], Claims | None]
"""token -> its claims, None when the key's other half did not sign it."""

# What a token says is judged at each request, as time passes; its signature once.
_SIGNATURE_ALONE: Options = {
    "verify_signature": True, "verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_iss": False,
    "verify_nbf": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip
LEEWAY = 10
"""Seconds by which the clock of another server may be ahead of ours."""


class Expected(NamedTuple):
    """What a token that was asked for must say: who issued it, and one of the audiences that this server is."""

    issuer: str
    audiences: Collection[str]


def expected_of(settings: Settings) -> Expected:
    return Expected(settings.service_account_issuer, settings.api_audience_names or [settings.service_account_issuer])


def verifier(pem: bytes) -> Verify:
    """The PEM may be of either half of the key. Raises TokenError."""
    key = _public(pem)
    algorithm = "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"

    @lru_cache(maxsize=1024)
    def verify(token: str) -> Claims | None:
        try:
            return jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ALONE)
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


def of_service_accounts(verify: Verify, view: View, expected: Expected) -> Authenticate:
    def authenticate(token: str, audiences: Collection[str] = ()) -> User:
        claims = verify(token)
        if claims is None:
            return User()
        if claims.get("iss") == words.ISSUER:  # for this server alone
            elsewhere = audiences and set(audiences).isdisjoint(expected.audiences)
            return User() if elsewhere else user_of_secret(claims, token, view)
        return user_of_request(claims, expected._replace(audiences=audiences or expected.audiences), view, time.time())

    return authenticate


def user_of_secret(claims: Claims, token: str, view: View) -> User:
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


def user_of_request(claims: Claims, expected: Expected, view: View, now: float) -> User:
    """The decision for one that was asked for: nobody's before its time and after it, for another audience, when its
    account or the object that it is bound to is gone or another one now."""
    about = claims.get(words.BOUND_CLAIM)
    if claims.get("iss") != expected.issuer or not isinstance(about, dict):
        return User()
    audiences = claims.get("aud")
    if not isinstance(audiences, list) or set(audiences).isdisjoint(expected.audiences):
        return User()
    begin, end = claims.get("nbf"), claims.get("exp")
    if not isinstance(begin, int) or not isinstance(end, int) or not begin - LEEWAY <= now < end:
        return User()
    namespace = str(about.get("namespace", ""))
    bound = {"serviceaccount": ServiceAccount, "pod": Pod, "secret": Secret}
    if not all(_is_there(about[key], kind, namespace, view) for key, kind in bound.items() if key in about):
        return User()
    name = str(about["serviceaccount"]["name"]) if "serviceaccount" in about else ""
    return User(words.user_name(namespace, name), words.groups(namespace)) if name else User()


def _is_there(reference: Any, kind: Any, namespace: str, view: View) -> bool:
    """reference: name and uid, as a token gives them."""
    if not isinstance(reference, dict):
        return False
    found = view.get(kind, str(reference.get("name", "")), namespace)
    return found is not None and found.metadata.uid == reference.get("uid")
