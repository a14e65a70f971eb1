"""ServiceAccount: every pod goes by an account of its namespace that is there and has a token.

A pod that names none goes by `default`; it takes over the account's image pull secrets when it brings none. The account
and its token are made by controllers, so for a new namespace this plug-in waits a second. Mounting the token into the
pod is left out until kubelets can mount secrets. Source: plugin/pkg/admission/serviceaccount of Kubernetes 1.0.
"""

from __future__ import annotations

from typing import Any

from labkit.api.service_accounts import TOKEN_KEY, is_token_of
from labkit.api.types import Pod, Secret, ServiceAccount
from labkit.components.kube_apiserver.admission.plugin import Asked, View, not_yet

DEFAULT = "default"
PATIENCE = 1.0  # seconds


def admit(asked: Asked, view: View) -> Any:
    if asked.operation != "CREATE" or asked.kind.type is not Pod:
        return asked.obj
    pod: Pod = asked.obj
    name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT
    account = view.get(ServiceAccount, name, asked.namespace)
    if account is None:
        why = f"service account {asked.namespace}/{name} was not found, retry after the service account is created"
        raise not_yet(asked, why, PATIENCE)
    if not has_token(account, view):
        why = (
            f"no API token found for service account {asked.namespace}/{name}, retry after the token is automatically "
            "created and added to the service account"
        )
        raise not_yet(asked, why, PATIENCE)
    pod.spec.service_account_name = pod.spec.service_account = name
    if not pod.spec.image_pull_secrets:
        pod.spec.image_pull_secrets = account.image_pull_secrets
    return pod


def has_token(account: ServiceAccount, view: View) -> bool:
    """Whether one of the secrets that the account refers to holds a token of it."""
    secrets = (view.get(Secret, reference.name, account.metadata.namespace) for reference in account.secrets)
    return any(secret and is_token_of(secret, account) and secret.data.get(TOKEN_KEY) for secret in secrets)
