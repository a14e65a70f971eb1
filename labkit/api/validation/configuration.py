"""Secrets, config maps and service accounts: keys that can be file names, and not more than a megabyte."""

import json
from collections.abc import Mapping

from labkit.api.errors import Fault
from labkit.api.faults import forbidden, invalid, required
from labkit.api.names import DATA_KEY, DNS_SUBDOMAIN
from labkit.api.types import ConfigMap, Secret, ServiceAccount
from labkit.api.validation import metadata

SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  (a type of secret)
SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"
DOCKERCFG = "kubernetes.io/dockercfg"
DOCKERCONFIGJSON = "kubernetes.io/dockerconfigjson"
_DOCKER_KEYS = {DOCKERCFG: ".dockercfg", DOCKERCONFIGJSON: ".dockerconfigjson"}
_LARGEST = 1024 * 1024


def secret_faults(secret: Secret) -> list[Fault]:
    found = metadata.object_faults(secret, DNS_SUBDOMAIN)
    for key in secret.data:
        if why := DATA_KEY.fault(key):
            found.append(invalid(f"data[{key}]", key, why))
    if _size(secret.data) > _LARGEST:
        found.append(forbidden("data", "Maximum secret size exceeded"))
    return found + _type_faults(secret)


def _type_faults(secret: Secret) -> list[Fault]:
    """What the types that Kubernetes knows need; any other is its user's own."""
    if secret.type == SERVICE_ACCOUNT_TOKEN and not secret.metadata.annotations.get(SERVICE_ACCOUNT_NAME):
        return [required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]")]
    key = _DOCKER_KEYS.get(secret.type)
    if key is None:
        return []
    if key not in secret.data:
        return [required(f"data[{key}]")]
    try:
        if isinstance(json.loads(secret.data[key]), dict):
            return []
        why = "expected a JSON object"
    except (ValueError, RecursionError):
        why = "not valid JSON"
    return [invalid(f"data[{key}]", "<secret contents redacted>", why)]


def secret_update_faults(new: Secret, old: Secret) -> list[Fault]:
    found = metadata.update_faults(new, old)
    if new.type != old.type:
        found.append(invalid("type", new.type, metadata.IMMUTABLE))
    return found + secret_faults(new)


def config_map_faults(config: ConfigMap) -> list[Fault]:
    found = metadata.object_faults(config, DNS_SUBDOMAIN)
    for field, keys in (("data", list(config.data)), ("binaryData", list(config.binary_data))):
        for key in keys:
            if why := DATA_KEY.fault(key):
                found.append(invalid(f"{field}[{key}]", key, why))
    for key in sorted(config.data.keys() & config.binary_data.keys()):
        found.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if _size(config.data) + _size(config.binary_data) > _LARGEST:
        found.append(invalid("", "", f"must have at most {_LARGEST} characters"))
    return found


def config_map_update_faults(new: ConfigMap, old: ConfigMap) -> list[Fault]:
    return metadata.update_faults(new, old) + config_map_faults(new)


def _size(data: Mapping[str, str | bytes]) -> int:
    """In bytes."""
    return sum(len(value.encode() if isinstance(value, str) else value) for value in data.values())


def service_account_faults(account: ServiceAccount) -> list[Fault]:
    return metadata.object_faults(account, DNS_SUBDOMAIN)


def service_account_update_faults(new: ServiceAccount, old: ServiceAccount) -> list[Fault]:
    return metadata.update_faults(new, old) + service_account_faults(new)
