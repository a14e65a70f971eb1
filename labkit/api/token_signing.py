"""The key that signs the tokens of service accounts: kube-controller-manager and kube-apiserver each sign theirs."""

from collections.abc import Callable, Mapping
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SignClaims = Callable[[Mapping[str, Any]], str]
"""From what a token says to the token."""


def signer(pem: bytes) -> SignClaims:
    """Signs with this private key: RS256 with an RSA key, ES256 with one of P-256. Raises ValueError for others."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as exc:  # it wants a password, or is of an exotic kind
        raise ValueError(str(exc)) from exc
    if isinstance(private, rsa.RSAPrivateKey):
        algorithm = "RS256"
    elif isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        algorithm = "ES256"
    else:
        raise ValueError("expected an RSA key or one of the curve P-256")
    key = private
    return lambda claims: jwt.encode(dict(claims), key, algorithm=algorithm)
