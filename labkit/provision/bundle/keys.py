"""Who made a bundle. Each maker has a key of their own; a computer believes those that its user has confirmed.

    STATE/bundle.key        this computer's Ed25519 key, 0600, made with the first bundle
    STATE/bundle.trusted    a fingerprint a line: whose bundles may be used here; one's own always may

The fingerprint is what two people compare: 32 hexadecimal digits of the public key's SHA-256.
"""

import base64
import hashlib
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from labkit.cluster import state_root, write_private


def own() -> Ed25519PrivateKey:
    """This computer's key; made when there is none."""
    path = _own_path()
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 key")
    return key


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def verify(public_key: str, signature: bytes, content: bytes) -> None:
    """Raises InvalidSignature, or ValueError for what is no key."""
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True)).verify(signature, content)


def fingerprint(public_key: str) -> str:
    """`1f2e-3d4c-...`: eight groups of four."""
    digits = hashlib.sha256(public_key.encode()).hexdigest()[:32]
    return "-".join(digits[at : at + 4] for at in range(0, 32, 4))


def is_trusted(print_: str) -> bool:
    return print_ in _trusted() or (_own_path().exists() and print_ == fingerprint(public(own())))


def trust(print_: str) -> None:
    if not is_trusted(print_):
        write_private(_trusted_path(), "".join(f"{each}\n" for each in [*_trusted(), print_]).encode())


def same(given: str, print_: str) -> bool:
    """Whether somebody typed this fingerprint; groups and case do not matter, fewer digits do."""
    return re.sub(r"[^0-9a-f]", "", given.lower()) == print_.replace("-", "")


def _trusted() -> list[str]:
    path = _trusted_path()
    return path.read_text().split() if path.exists() else []


def _own_path() -> Path:
    return state_root() / "bundle.key"


def _trusted_path() -> Path:
    return state_root() / "bundle.trusted"
