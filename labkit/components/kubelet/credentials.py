"""Who we are at a private registry: imagePullSecrets, as `kubectl create secret docker-registry` makes them.

    type kubernetes.io/dockercfg           .dockercfg           {"registry:5000": {"username": ..., "password": ...}}
    type kubernetes.io/dockerconfigjson    .dockerconfigjson    {"auths": {"registry:5000": {"auth": base64}}}

All that name the image's registry are tried, in the pod's order; without any the registry is asked as nobody.
Source: Kubernetes 1.0, pkg/credentialprovider.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from docker.auth import resolve_repository_name

from labkit.api.types import Secret

DOCKER_HUB = "docker.io"
FILES = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str = field(repr=False)


class NotCredentials(Exception):
    """A secret that holds none; the message names it and what is wrong."""


def credentials_for(image: str, secrets: Sequence[Secret]) -> list[Credentials]:
    """Raises NotCredentials."""
    registry, repository = resolve_repository_name(image)
    wanted = f"{registry}/{repository}"
    return [found for secret in secrets for place, found in _of_secret(secret) if _covers(place, registry, wanted)]


def _covers(place: str, registry: str, wanted: str) -> bool:
    """A place is a registry, or the beginning of a repository's path in it."""
    url = urlsplit(place if "//" in place else f"//{place}")
    host = url.netloc.removeprefix("index.") if url.netloc.endswith(DOCKER_HUB) else url.netloc
    path = "" if url.path.strip("/") in ("v1", "v2") else url.path.strip("/")
    return host == registry and (not path or wanted == f"{host}/{path}" or wanted.startswith(f"{host}/{path}/"))


def _of_secret(secret: Secret) -> Iterator[tuple[str, Credentials]]:
    name = f'secret "{secret.metadata.name}"'
    file = FILES.get(secret.type)
    if file is None or file not in secret.data:
        told = " or ".join(f"type {kind} with {file}" for kind, file in FILES.items())
        raise NotCredentials(f"{name} is no login: it needs {told}; see kubectl create secret docker-registry")
    try:
        document = json.loads(secret.data[file])
        entries = document.get("auths", {}) if file == ".dockerconfigjson" else document
        for place, entry in entries.items():
            yield place, _login(entry)
    except (ValueError, AttributeError, TypeError, binascii.Error) as exc:
        raise NotCredentials(f"{name}: {file} cannot be read: {exc}") from exc


def _login(entry: dict[str, str]) -> Credentials:
    if auth := entry.get("auth"):
        username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        return Credentials(username, password)
    return Credentials(entry.get("username", ""), entry.get("password", ""))
