"""Who asks? The client certificate says: CN is the user's name, each O one of the user's groups.

Without a certificate a bearer token may say it: tokens.py.
Source: Kubernetes' x509 authentication (pkg/auth/authenticator/request/x509 of 0.18; groups came later).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from labkit.components.kube_apiserver.messages import User


def user_of(peer_certificate: Mapping[str, Any] | None) -> User:
    """The user of a verified certificate as `ssl` shows it; nobody without one."""
    if not peer_certificate:
        return User()
    names = [pair for part in peer_certificate.get("subject", ()) for pair in part]
    common = next((value for key, value in names if key == "commonName"), "")
    return User(common, tuple(value for key, value in names if key == "organizationName"))


def server_context(certificate: str, key: str, client_ca: str, client_auth: str = "required") -> ssl.SSLContext:
    """TLS of the secure port. client_auth "required": without a certificate of `client_ca` no connection comes about;
    "optional": it does, and every request on it needs a token or is answered 401."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED if client_auth == "required" else ssl.CERT_OPTIONAL
    return context
