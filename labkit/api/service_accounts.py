"""What service accounts, their secrets and their tokens say of each other: words of the signer and of the verifier.

A token is a JSON web token (RFC 7519) without an end. Its subject is the user that a pod is at the API:

    system:serviceaccount:NAMESPACE:NAME   of groups   system:serviceaccounts, system:serviceaccounts:NAMESPACE

Source: pkg/serviceaccount of Kubernetes 0.18 (jwt.go, util.go).
"""

from typing import Any

from labkit.api.types import Secret, ServiceAccount

SECRET_TYPE = "kubernetes.io/service-account-token"  # noqa: S105  (a type, not a secret)
NAME_ANNOTATION = "kubernetes.io/service-account.name"
UID_ANNOTATION = "kubernetes.io/service-account.uid"
TOKEN_KEY, CA_KEY, NAMESPACE_KEY = "token", "ca.crt", "namespace"

ISSUER = "kubernetes/serviceaccount"
NAMESPACE_CLAIM = "kubernetes.io/serviceaccount/namespace"
SECRET_CLAIM = "kubernetes.io/serviceaccount/secret.name"  # noqa: S105
NAME_CLAIM = "kubernetes.io/serviceaccount/service-account.name"
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


def is_token_of(secret: Secret, account: ServiceAccount) -> bool:
    """Whether the secret holds, or is to hold, a token of this very account."""
    notes = secret.metadata.annotations
    return (
        secret.type == SECRET_TYPE
        and secret.metadata.namespace == account.metadata.namespace
        and notes.get(NAME_ANNOTATION) == account.metadata.name
        and notes.get(UID_ANNOTATION, account.metadata.uid) == account.metadata.uid
    )
