"""Reads a kubeconfig file: where the API server is, and who we are to it.

    contexts[current-context] -> cluster: server, certificate-authority        whom to trust
                              -> user:    client-certificate, client-key, token   who we are

YAML and JSON (which is YAML) are read alike. Certificates are files, relative to the kubeconfig, or inline in base64
under the same key with `-data`. Source: kubectl's kubeconfig reference.
"""

import base64
import binascii
import ssl
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class KubeconfigError(ValueError):
    """A kubeconfig that cannot be used: the file, the field and what was expected."""


class Login(NamedTuple):
    """What it takes to connect: the server's URL, TLS settings (None for http) and a bearer token ("" for none)."""

    server: str
    ssl_context: ssl.SSLContext | None
    token: str


def load(path: str | Path, context: str | None = None) -> Login:
    """The login that a kubeconfig's context (its current one unless named) stands for; KubeconfigError if unusable."""
    return _Kubeconfig(Path(path)).login(context)


class _Kubeconfig:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            document = yaml.safe_load(path.read_text())
        except OSError as exc:
            raise KubeconfigError(f"{path}: cannot be read: {exc.strerror}") from exc
        except (yaml.YAMLError, UnicodeDecodeError) as exc:
            raise KubeconfigError(f"{path}: neither YAML nor JSON: {exc}") from exc
        if not isinstance(document, dict):
            raise KubeconfigError(f"{path}: expected an object with clusters, users and contexts")
        self.document = document

    def login(self, context: str | None) -> Login:
        chosen = context or self.document.get("current-context")
        if not chosen:
            raise KubeconfigError(f"{self.path}: current-context: expected the name of one of the contexts")
        pair = self._named("contexts", "context", chosen)
        cluster = self._named("clusters", "cluster", pair.get("cluster"))
        user = self._named("users", "user", pair["user"]) if pair.get("user") else {}
        server = str(cluster.get("server", "")).rstrip("/")
        if not server.startswith(("https://", "http://")):
            raise KubeconfigError(f"{self.path}: clusters[{pair['cluster']}].server: expected https://HOST:PORT")
        secure = server.startswith("https://")
        return Login(server, self._tls(cluster, user) if secure else None, str(user.get("token", "")))

    def _named(self, section: str, field: str, name: Any) -> dict[str, Any]:
        """The entry called `name` of a list such as `clusters: [{name: lab, cluster: {...}}]`."""
        for entry in self.document.get(section) or []:
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(field), dict):
                return dict(entry[field])
        raise KubeconfigError(f"{self.path}: {section}: expected an entry named {name!r} with a {field}")

    def _tls(self, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
        if cluster.get("insecure-skip-tls-verify"):
            raise KubeconfigError(f"{self.path}: insecure-skip-tls-verify: not supported, name a certificate-authority")
        authority = self._bytes(cluster, "certificate-authority")
        certificate, private_key = self._bytes(user, "client-certificate"), self._bytes(user, "client-key")
        try:
            tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if certificate and private_key:
                _load_pair(tls, certificate, private_key)
        except (ssl.SSLError, ValueError) as exc:
            raise KubeconfigError(f"{self.path}: certificates: expected PEM that belongs together: {exc}") from exc
        return tls

    def _bytes(self, owner: dict[str, Any], field: str) -> bytes:
        """The content of `field` (a file) or `field-data` (base64); empty when neither is there."""
        if inline := owner.get(f"{field}-data"):
            try:
                return base64.b64decode(inline, validate=True)
            except (binascii.Error, TypeError) as exc:
                raise KubeconfigError(f"{self.path}: {field}-data: expected base64: {exc}") from exc
        if not (name := owner.get(field)):
            return b""
        file = self.path.parent / str(name)
        try:
            return file.read_bytes()
        except OSError as exc:
            raise KubeconfigError(f"{self.path}: {field}: {file} cannot be read: {exc.strerror}") from exc


def _load_pair(tls: ssl.SSLContext, certificate: bytes, private_key: bytes) -> None:
    """OpenSSL takes a client's certificate and key only from a file: a private one that lives for this call."""
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(certificate + b"\n" + private_key)
        pair.flush()
        tls.load_cert_chain(pair.name)
