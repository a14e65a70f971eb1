"""A service on a machine: a systemd unit and the files that it lives on.

    Service("kube-proxy", files = unit, env, kubeconfig, certificate, key; code = that of components/kube_proxy)

Its digest covers all of that: when it changes, and only then, the service is restarted.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Service:
    """A systemd unit. `code` is the digest of what it runs, empty for Debian's own services; `user` runs it."""

    name: str
    files: tuple[File, ...]
    code: str = ""
    user: str = "root"

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path} {file.mode:o} {file.owner} {file.digest}\n".encode())
        digest.update(self.code.encode())
        return digest.hexdigest()[:16]
