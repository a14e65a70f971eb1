"""Tokens and their secrets: what is signed, and what is to do for an account."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit.api import service_accounts as words
from labkit.api.types import Namespace, ObjectMeta, ObjectReference, Secret, ServiceAccount
from labkit.components.kube_controller_manager.service_accounts import lacks_default
from labkit.components.kube_controller_manager.tokens import Plan, filled, new_secret, plan, signer

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def account(*secrets: str, uid: str = "u1") -> ServiceAccount:
    references = [ObjectReference(name=secret) for secret in secrets]
    return ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team", uid=uid), secrets=references)


def token(name: str, uid: str = "u1", of: str = "robot", data: bytes = b"token") -> Secret:
    notes = {words.NAME_ANNOTATION: of, words.UID_ANNOTATION: uid}
    meta = ObjectMeta(name=name, namespace="team", annotations=notes)
    return Secret(metadata=meta, type=words.SECRET_TYPE, data={"token": data})


OPAQUE = Secret(metadata=ObjectMeta(name="opaque", namespace="team"), type="Opaque")
MINE = token("robot-token-1")
BY_HAND = Secret(
    metadata=ObjectMeta(name="hand", namespace="team", annotations={words.NAME_ANNOTATION: "robot"}),
    type=words.SECRET_TYPE,
)
PAST, OTHERS = token("past", uid="u0"), token("others", of="other")


@pytest.mark.parametrize(
    ("given", "secrets", "expected"),
    [
        (account(), [], Plan([], [], True)),
        (account("robot-token-1"), [MINE], Plan([], [], False)),
        (account(), [MINE], Plan([], [], False, ["robot-token-1"])),  # we fell between the secret and its reference
        (account("robot-token-1"), [], Plan([], [], True, [])),  # somebody deleted the secret
        (account("opaque"), [OPAQUE], Plan([], [], True)),
        (account("not-made-yet"), [], Plan([], [], True)),  # a reference by hand is kept
        (account("robot-token-1"), [MINE, BY_HAND], Plan([], [BY_HAND], False)),
        (account("robot-token-1"), [MINE, PAST], Plan([PAST], [], False)),
        (account("robot-token-1", "others"), [MINE, OTHERS], Plan([], [], False)),
        (None, [MINE, BY_HAND], Plan([MINE, BY_HAND])),
        (None, [], Plan([])),
    ],
)
def test_what_is_to_do(given: ServiceAccount | None, secrets: list[Secret], expected: Plan) -> None:
    assert plan(given, secrets) == expected


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (P256, "ES256")])
def test_a_token_says_whose_it_is(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str) -> None:
    full = filled(new_secret(account()), account(), signer(pem(key)), b"CA")
    assert full.type == "kubernetes.io/service-account-token"
    assert full.metadata.name.startswith("robot-token-")
    assert full.metadata.annotations == {
        "kubernetes.io/service-account.name": "robot", "kubernetes.io/service-account.uid": "u1"
    }  # fmt: skip
    assert (full.data["ca.crt"], full.data["namespace"]) == (b"CA", b"team")
    assert jwt.decode(full.data["token"], key.public_key(), algorithms=[algorithm]) == {
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:team:robot",
        "kubernetes.io/serviceaccount/namespace": "team",
        "kubernetes.io/serviceaccount/secret.name": full.metadata.name,
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "u1",
    }  # fmt: skip
    assert plan(account(full.metadata.name), [full]) == Plan([], [], False)


@pytest.mark.parametrize("key", [b"nonsense", pem(ec.generate_private_key(ec.SECP384R1()))])
def test_a_key_that_cannot_sign(key: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        signer(key)


def test_every_living_namespace_has_a_default_account() -> None:
    alive, dead = Namespace(), Namespace(metadata=ObjectMeta(deletion_timestamp="2026-01-01T00:00:00Z"))
    assert lacks_default(alive, None)
    assert not lacks_default(alive, account())
    assert not lacks_default(dead, None)
    assert not lacks_default(None, None)
