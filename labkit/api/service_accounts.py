"""What service accounts, their secrets and their tokens say of each other: words of the signer and of the verifier.

A token is a JSON web token (RFC 7519). Its subject is the user that its holder is at the API:

    system:serviceaccount:NAMESPACE:NAME   of groups   system:serviceaccounts, system:serviceaccounts:NAMESPACE

There are two kinds. That of a secret has no end of its own, it holds as long as the secret and the account are there:

    {"iss": "kubernetes/serviceaccount", "sub": ..., "kubernetes.io/serviceaccount/namespace": ..., ...}

One that was asked for (TokenRequest, `kubectl create token`) has an end and an audience, and may be bound to a pod or
secret, with which it ends too:

    {"iss": "https://kubernetes.default.svc", "aud": [...], "iat": ..., "nbf": ..., "exp": ..., "jti": ..., "sub": ...,
     "kubernetes.io": {"namespace": ..., "serviceaccount": {"name", "uid"}, "pod": {"name", "uid"}}}

Source: pkg/serviceaccount of Kubernetes 0.18 (jwt.go, util.go) and of 1.22 (claims.go).
"""

import uuid
from collections.abc import Sequence
from typing import Any

from labkit.api.types import Object, Secret, ServiceAccount

SECRET_TYPE = "kubernetes.io/service-account-token"  # noqa: S105  (a type, not a secret)
NAME_ANNOTATION = "kubernetes.io/service-account.name"
UID_ANNOTATION = "kubernetes.io/service-account.uid"
TOKEN_KEY, CA_KEY, NAMESPACE_KEY = "token", "ca.crt", "namespace"

ISSUER = "kubernetes/serviceaccount"
NAMESPACE_CLAIM = "kubernetes.io/serviceaccount/namespace"
SECRET_CLAIM = "kubernetes.io/serviceaccount/secret.name"  # noqa: S105
NAME_CLAIM = "kubernetes.io/serviceaccount/service-account.name"
BOUND_CLAIM = "kubernetes.io"
UID_CLAIM = "kubernetes.io/serviceaccount/service-account.uid"


def user_name(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


def claims(account: ServiceAccount, secret_name: str) -> dict[str, Any]:
    """What the token in this secret of the account says."""
    meta = account.metadata
    return {
        "iss": ISSUER,
        "sub": user_name(meta.namespace, meta.name),
        NAMESPACE_CLAIM: meta.namespace,
        SECRET_CLAIM: secret_name,
        NAME_CLAIM: meta.name,
        UID_CLAIM: meta.uid,
    }


def request_claims(
    account: ServiceAccount, issuer: str, audiences: Sequence[str], times: tuple[int, int], bound: Object | None
) -> dict[str, Any]:
    """What a token says that was asked for. times: when it was issued and when it ends, in seconds since 1970."""
    meta = account.metadata
    about: dict[str, Any] = {"namespace": meta.namespace, "serviceaccount": {"name": meta.name, "uid": meta.uid}}
    if bound is not None:
        about[bound.KIND.lower()] = {"name": bound.metadata.name, "uid": bound.metadata.uid}
    return {
        "iss": issuer,
        "sub": user_name(meta.namespace, meta.name),
        "aud": list(audiences),
        "iat": times[0],
        "nbf": times[0],
        "exp": times[1],
        "jti": str(uuid.uuid4()),
        BOUND_CLAIM: about,
    }


def is_token_of(secret: Secret, account: ServiceAccount) -> bool:
    """Whether the secret holds, or is to hold, a token of this very account."""
    notes = secret.metadata.annotations
    return (
        secret.type == SECRET_TYPE
        and secret.metadata.namespace == account.metadata.namespace
        and notes.get(NAME_ANNOTATION) == account.metadata.name
        and notes.get(UID_ANNOTATION, account.metadata.uid) == account.metadata.uid
    )
