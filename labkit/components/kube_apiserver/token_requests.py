"""POST .../serviceaccounts/NAME/token: a token with an end, for an audience, bound to a pod or secret if wished.

    kubectl create token robot --duration=1h        ->  spec {audiences: [], expirationSeconds: 3600}
                                                    <-  status {token: eyJ..., expirationTimestamp: ...}

Nothing is stored: what the token says is all there is (labkit.api.service_accounts), and account_tokens.py believes it.
Source: authentication.k8s.io/v1 TokenRequest, pkg/registry/core/serviceaccount/storage/token.go of Kubernetes 1.22.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from labkit.api import codec
from labkit.api import service_accounts as words
from labkit.api.errors import BadRequest, Conflict, Invalid, MethodNotAllowed, NotFound
from labkit.api.token_signing import SignClaims, signer
from labkit.api.types import Object, Pod, Secret, ServiceAccount, TokenRequest, TokenRequestSpec, TokenRequestStatus
from labkit.api.validation import token_request as rules
from labkit.components.kube_apiserver import answers, bodies
from labkit.components.kube_apiserver.account_tokens import Expected, expected_of
from labkit.components.kube_apiserver.changes import check_subject
from labkit.components.kube_apiserver.messages import Answer, Request
from labkit.components.kube_apiserver.routes import Route
from labkit.components.kube_apiserver.settings import Settings, SettingsError
from labkit.storage.registry import Registry

HOUR = 3600
_PLURALS = {"Pod": "pods", "Secret": "secrets"}


class Issuer(NamedTuple):
    """sign None: this server has no key to sign with. expected: what it will ask of its own tokens."""

    sign: SignClaims | None
    expected: Expected


def issuer_of(settings: Settings) -> Issuer:
    """Raises SettingsError."""
    expected = expected_of(settings)
    if not settings.service_account_signing_key_file:
        return Issuer(None, expected)
    try:
        return Issuer(signer(Path(settings.service_account_signing_key_file).read_bytes()), expected)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--service-account-signing-key-file: {error}") from error


async def create(registries: Mapping[str, Registry], issuer: Issuer, request: Request, at: Route) -> Answer:
    """Raises NotFound (the account, the object to bind to), Invalid, BadRequest, Conflict (another object)."""
    if request.method != "POST":
        raise MethodNotAllowed.here()
    if issuer.sign is None:
        raise NotFound("tokens are not issued here: kube-apiserver runs without --service-account-signing-key-file")
    wish: TokenRequest = bodies.read(request, TokenRequest)[0]
    check_subject(wish, at.name, at.namespace)
    if faults := rules.faults(wish):
        raise Invalid.of("TokenRequest", at.name, faults)
    account: ServiceAccount = (await registries["serviceaccounts"].get(at.namespace, at.name)).decode()
    bound = await _bound(registries, wish.spec, account)
    now = int(time.time())
    seconds = complete(wish, account, bound, issuer.expected, now)
    said = words.request_claims(account, issuer.expected.issuer, wish.spec.audiences, (now, now + seconds), bound)
    if not bodies.is_dry_run(request):
        wish.status.token = issuer.sign(said)
    return answers.answer(request, codec.encode(wish), 201)


async def _bound(registries: Mapping[str, Registry], spec: TokenRequestSpec, account: ServiceAccount) -> Object | None:
    """The object with which the token is to end."""
    reference = spec.bound_object_ref
    if reference is None:
        return None
    found: Pod | Secret = (
        await registries[_PLURALS[reference.kind]].get(account.metadata.namespace, reference.name)
    ).decode()
    if reference.uid not in ("", found.metadata.uid):
        raise Conflict(
            f"the UID in the bound object reference ({reference.uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
    if isinstance(found, Pod) and found.spec.service_account_name != account.metadata.name:
        name = account.metadata.name
        other = "pod running with different serviceaccount name"
        raise BadRequest(f'cannot bind token for serviceaccount "{name}" to {other}.')
    return found


def complete(wish: TokenRequest, account: ServiceAccount, bound: Object | None, expected: Expected, now: int) -> int:
    """Say all that the wish left open, and when the token ends; how many seconds it holds."""
    spec = wish.spec
    spec.audiences = spec.audiences or list(expected.audiences)
    seconds = spec.expiration_seconds = spec.expiration_seconds or HOUR
    if spec.bound_object_ref is not None and bound is not None:
        spec.bound_object_ref.uid = bound.metadata.uid
    wish.metadata.name, wish.metadata.namespace = account.metadata.name, account.metadata.namespace
    wish.metadata.creation_timestamp = _stamp(now)
    wish.status = TokenRequestStatus(expiration_timestamp=_stamp(now + seconds))
    return seconds


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
