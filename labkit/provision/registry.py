"""The registry of the pods' images, on the master: one store, two doors.

    MASTER:5000      TLS, the machines' network: GET and HEAD only      agents pull `redis` here, as from a mirror
    127.0.0.1:5001   TLS and a password: everything                     `labkit up` pushes here, with skopeo

The password is made once per cluster. The master knows it in a file that only root reads, the registry its bcrypt hash.
"""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from labkit.cluster import write_private

PUSH = "127.0.0.1:5001"
USER = "labkit"
AUTH_FILE = "/etc/labkit/registry-push.json"


@dataclass(frozen=True)
class Credentials:
    """password in clear; htpasswd: the registry's password file, one line."""

    password: str
    htpasswd: str

    def auth_file(self) -> bytes:
        """What skopeo's --authfile wants."""
        auth = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        return json.dumps({"auths": {PUSH: {"auth": auth}}}).encode() + b"\n"


def credentials(state: Path) -> Credentials:
    """The cluster's, made when there are none yet (STATE/pki/registry-push.json, 0600)."""
    path = state / "pki" / "registry-push.json"
    if not path.exists():
        password = secrets.token_urlsafe(24)
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=8, prefix=b"2b")).decode()
        write_private(path, json.dumps({"password": password, "htpasswd": f"{USER}:{hashed}\n"}).encode())
    return Credentials(**json.loads(path.read_text()))


def push_command(image: str) -> str:
    """What the master runs to put one of the machines' own images into the registry.

    Packed with little effort: a tenth larger, in 60 % of the time, which an emulated machine has a minute of.
    """
    return (
        f"skopeo copy --quiet --dest-compress-level 1 --authfile {AUTH_FILE} --dest-cert-dir /etc/docker/registry/trust"
        f" docker-archive:/usr/share/labkit/images/{image}.tar docker://{PUSH}/library/{image}:latest"
    )
