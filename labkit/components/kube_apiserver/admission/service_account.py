"""ServiceAccount: every pod goes by an account of its namespace that is there and has a token.

A pod that names none goes by `default`; it takes over the account's image pull secrets when it brings none. The account
and its token are made by controllers, so for a new namespace this plug-in waits a second.

Every container finds the token, the cluster's CA and its namespace as files, so that it can talk to the API server:

    volumes:       - {name: default-token-x7f2k, secret: {secretName: default-token-x7f2k}}
    volumeMounts:  - {name: default-token-x7f2k, readOnly: true, mountPath: /var/run/secrets/.../serviceaccount}

unless it mounts something else there, or the pod or its account says automountServiceAccountToken: false.
Source: plugin/pkg/admission/serviceaccount of Kubernetes 1.0.
"""

from __future__ import annotations

import itertools
from collections.abc import Container
from typing import Any

from labkit.api.service_accounts import TOKEN_KEY, is_token_of
from labkit.api.types import Pod, PodSpec, Secret, SecretVolumeSource, ServiceAccount, Volume, VolumeMount
from labkit.components.kube_apiserver.admission.plugin import Asked, View, not_yet
from labkit.components.kube_apiserver.node_authorizer import MIRROR

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PATIENCE = 1.0  # seconds


def admit(asked: Asked, view: View) -> Any:
    if asked.operation != "CREATE" or asked.kind.type is not Pod:
        return asked.obj
    pod: Pod = asked.obj
    if MIRROR in pod.metadata.annotations:
        return pod  # runs already, as it is
    name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT
    account = view.get(ServiceAccount, name, asked.namespace)
    if account is None:
        why = f"service account {asked.namespace}/{name} was not found, retry after the service account is created"
        raise not_yet(asked, why, PATIENCE)
    secret = token_of(account, view)
    if secret is None:
        why = (
            f"no API token found for service account {asked.namespace}/{name}, retry after the token is automatically "
            "created and added to the service account"
        )
        raise not_yet(asked, why, PATIENCE)
    pod.spec.service_account_name = pod.spec.service_account = name
    if not pod.spec.image_pull_secrets:
        pod.spec.image_pull_secrets = list(account.image_pull_secrets)
    if wants_token(pod, account):
        mount(secret.metadata.name, pod.spec)
    return pod


def token_of(account: ServiceAccount, view: View) -> Secret | None:
    """The first of the secrets that the account refers to which holds a token of it."""
    secrets = (view.get(Secret, reference.name, account.metadata.namespace) for reference in account.secrets)
    return next((each for each in secrets if each and is_token_of(each, account) and each.data.get(TOKEN_KEY)), None)


def wants_token(pod: Pod, account: ServiceAccount) -> bool:
    """The pod's word counts, then the account's."""
    asked = pod.spec.automount_service_account_token
    return (asked if asked is not None else account.automount_service_account_token) is not False


def mount(secret: str, spec: PodSpec) -> None:
    """Mount the secret into each container that has nothing else at that place."""
    volumes = {volume.name: volume.secret.secret_name if volume.secret else "" for volume in spec.volumes}
    there = next((name for name, secret_name in volumes.items() if secret_name == secret), None)
    name = there or volume_name(secret, volumes)
    lacking = [
        container
        for container in spec.containers
        if all(each.mount_path.rstrip("/") != MOUNT_PATH for each in container.volume_mounts)
    ]
    for container in lacking:
        container.volume_mounts.append(VolumeMount(name=name, mount_path=MOUNT_PATH, read_only=True))
    if lacking and there is None:
        spec.volumes.append(Volume(name=name, secret=SecretVolumeSource(secret_name=secret)))


def volume_name(secret: str, taken: Container[str]) -> str:
    """The secret's own name; another one where that is taken or, with its dots and its length, no name of a volume."""
    plain = secret.replace(".", "-")[-63:].lstrip("-")
    names = itertools.chain([plain], (f"{plain[:58].rstrip('-')}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)
