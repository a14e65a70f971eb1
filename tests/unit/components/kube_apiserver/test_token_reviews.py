"""Whose a token is, for who may ask."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from labkit.api import service_accounts as words
from labkit.api.errors import BadRequest
from labkit.api.types import ObjectMeta, TokenReview, TokenReviewSpec
from labkit.components.kube_apiserver.account_tokens import of_service_accounts, verifier
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings
from labkit.components.kube_apiserver.token_reviews import TokenReviewer
from labkit.components.kube_apiserver.tokens import of_file
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.admission.view import Literals
from tests.unit.components.kube_apiserver.test_token_requests import ACCOUNT, EXPECTED, ROBOT
from tests.unit.components.kube_apiserver.test_tokens import P256, public, secret, signed, signed_claims


def for_audience(*audiences: str) -> str:
    now = int(time.time())
    return signed_claims(words.request_claims(ACCOUNT, "https://here", list(audiences), (now, now + 600), None))


OLD = signed()
KNOWN = [
    of_file({"t1": User("alice", ("dev",))}, EXPECTED.audiences),
    of_service_accounts(verifier(public(P256)), Literals([ACCOUNT, secret(OLD)]), EXPECTED),
]


def reviewed(token: str, *audiences: str) -> TokenReview:
    review = TokenReview(spec=TokenReviewSpec(token=token, audiences=list(audiences)))
    TokenReviewer(KNOWN, EXPECTED.audiences).review(review)
    return review


@pytest.mark.parametrize(
    ("token", "audiences", "user", "found"),
    [
        ("t1", [], User("alice", ("dev",)), ["https://here", "lab"]),
        ("t1", ["lab", "vault"], User("alice", ("dev",)), ["lab"]),
        (OLD, [], ROBOT, ["https://here", "lab"]),
        (for_audience("vault", "lab"), ["vault"], ROBOT, ["vault"]),
        (for_audience("vault", "lab"), [], ROBOT, ["lab"]),
    ],
)
def test_known_ones(token: str, audiences: list[str], user: User, found: list[str]) -> None:
    status = reviewed(token, *audiences).status
    assert status.authenticated
    assert (status.user.username, tuple(status.user.groups), status.audiences) == (user.name, user.groups, found)


@pytest.mark.parametrize(
    ("token", "audiences"),
    [("t2", []), ("t1", ["vault"]), (OLD, ["vault"]), (for_audience("vault"), []), (for_audience("lab"), ["vault"]),
     (signed(iss="somebody"), [])],
)  # fmt: skip
def test_of_others_nothing_is_said(token: str, audiences: list[str]) -> None:
    status = reviewed(token, *audiences).status
    assert (status.authenticated, status.user.username, status.audiences) == (False, "", [])
    assert status.error == "invalid bearer token"


def test_questions_that_are_none() -> None:
    with pytest.raises(BadRequest, match="token is required"):
        reviewed("")
    with pytest.raises(BadRequest, match="namespace is not allowed"):
        TokenReviewer(KNOWN, ()).review(TokenReview(metadata=ObjectMeta(namespace="x")))


async def test_who_may_ask(tmp_path: Path) -> None:
    file, policy = tmp_path / "tokens.csv", tmp_path / "abac.jsonl"
    file.write_text("t1,alice,1\nt2,vault,2\n")
    policy.write_text('{"user":"vault","resource":"tokenreviews"}\n{"user":"alice","resource":"pods"}\n')
    settings = Settings(token_auth_file=str(file), authorization_mode="ABAC", authorization_policy_file=str(policy))

    async def asked(server: Server, session: aiohttp.ClientSession, by: str) -> tuple[int, Any]:
        url = f"{server.base_url}/apis/authentication.k8s.io/v1/tokenreviews"
        body, headers = {"spec": {"token": "t1"}}, {"Authorization": f"Bearer {by}"}
        async with session.post(url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async with Server(Memory(), settings, Tracer("kube-apiserver"), insecure=True) as server:
        await server.start()
        async with aiohttp.ClientSession() as session:
            code, review = await asked(server, session, "t2")
            assert (code, review["kind"], review["status"]["user"]["username"]) == (201, "TokenReview", "alice")
            code, status = await asked(server, session, "t1")
            assert (code, status["reason"]) == (403, "Forbidden")
