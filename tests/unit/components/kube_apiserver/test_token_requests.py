"""Tokens that are asked for: what they say, and what they are worth when."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec
import pytest

from labkit.api import protobuf
from labkit.api import service_accounts as words
from labkit.api.types import (
    Namespace,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    ServiceAccount,
    TokenRequest,
    TokenRequestSpec,
)
from labkit.components.kube_apiserver import account_tokens
from labkit.components.kube_apiserver.account_tokens import Expected, user_of_request
from labkit.components.kube_apiserver.authz import Attributes, Rule
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.server import Server
from labkit.components.kube_apiserver.settings import Settings, SettingsError
from labkit.storage.memory import Memory
from labkit.trace import Tracer
from tests.unit.components.kube_apiserver.admission.view import Literals
from tests.unit.components.kube_apiserver.test_tokens import P256, private, public

EXPECTED = Expected("https://here", ["https://here", "lab"])
ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team", uid="u1"))
POD = Pod(metadata=ObjectMeta(name="p", namespace="team", uid="u2"), spec=PodSpec(service_account_name="robot"))
ROBOT = User("system:serviceaccount:team:robot", ("system:serviceaccounts", "system:serviceaccounts:team"))
BEGAN, ENDS = 1_000_000, 1_003_600


def said(bound: Object | None = None, **changed: Any) -> dict[str, Any]:
    return words.request_claims(ACCOUNT, "https://here", ["https://here"], (BEGAN, ENDS), bound) | changed


@pytest.mark.parametrize(
    ("claims", "now", "objects", "user"),
    [
        (said(), BEGAN, [ACCOUNT], ROBOT),
        (said(), ENDS - 0.1, [ACCOUNT], ROBOT),
        (said(aud=["other", "lab"]), BEGAN, [ACCOUNT], ROBOT),
        (said(), BEGAN - 5, [ACCOUNT], ROBOT),  # another server's clock is a little ahead
        (said(), BEGAN - 60, [ACCOUNT], User()),
        (said(), ENDS, [ACCOUNT], User()),
        (said(exp=None), BEGAN, [ACCOUNT], User()),
        (said(nbf="x"), BEGAN, [ACCOUNT], User()),
        (said(aud=["other"]), BEGAN, [ACCOUNT], User()),
        (said(aud="https://here"), BEGAN, [ACCOUNT], User()),
        (said(iss="https://there"), BEGAN, [ACCOUNT], User()),
        (said(iss=words.ISSUER), BEGAN, [ACCOUNT], User()),
        (said(), BEGAN, [], User()),
        (said(), BEGAN, [ServiceAccount(metadata=ObjectMeta(name="robot", namespace="team", uid="u9"))], User()),
        (said(POD), BEGAN, [ACCOUNT, POD], ROBOT),
        (said(POD), BEGAN, [ACCOUNT], User()),
        (said(POD), BEGAN, [ACCOUNT, Pod(metadata=ObjectMeta(name="p", namespace="team", uid="u9"))], User()),
        (said(**{"kubernetes.io": {"namespace": "team", "serviceaccount": "robot"}}), BEGAN, [ACCOUNT], User()),
        (said(**{"kubernetes.io": {"namespace": "team"}}), BEGAN, [ACCOUNT], User()),
        (said(**{"kubernetes.io": "team"}), BEGAN, [ACCOUNT], User()),
    ],
)
def test_whose_it_is(claims: dict[str, Any], now: float, objects: list[Object], user: User) -> None:
    assert user_of_request(claims, EXPECTED, Literals(objects), now) == user


def test_its_end_is_seen_though_its_signature_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The costly part is remembered, the time is not."""
    token = jwt.encode(said(), P256, algorithm="ES256")
    authenticate = account_tokens.of_service_accounts(
        account_tokens.verifier(public(P256)), Literals([ACCOUNT]), EXPECTED
    )
    monkeypatch.setattr(time, "time", lambda: BEGAN + 1.0)
    assert authenticate(token) == ROBOT
    monkeypatch.setattr(time, "time", lambda: float(ENDS))
    assert authenticate(token) == User()


def test_a_policy_for_accounts_hands_out_no_tokens() -> None:
    wish = Attributes(User("u"), "create", "team", "serviceaccounts/token", "", "robot")
    assert not Rule(resource="serviceaccounts").allows(wish)
    assert Rule(resource="serviceaccounts/token").allows(wish)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    key = tmp_path / "key"
    key.write_bytes(private(P256))
    (tmp_path / "tokens").write_text("admin,admin,1,system:masters\n")
    settings = Settings(
        token_auth_file=str(tmp_path / "tokens"), service_account_key_file=str(key),
        service_account_signing_key_file=str(key), service_account_issuer="https://here",
    )  # fmt: skip
    async with Server(Memory(), settings, Tracer("t"), insecure=True) as server:
        await server.start()
        yield server


class Api:
    """As admin: POST and what is answered."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.url = f"{server.base_url}/api/v1/namespaces"
        self.session = session
        self.asks_with_tokens = True

    async def send(
        self, method: str, path: str, body: Any = None, token: str = "admin", **headers: str
    ) -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} | headers
        if self.asks_with_tokens:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.url + path, data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    async def make(self, path: str, obj: Object) -> Any:
        code, made = await self.send("POST", path, obj)
        assert code == 201, made
        return made


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        await api.make("", Namespace(metadata=ObjectMeta(name="team")))
        await api.make("/team/serviceaccounts", ServiceAccount(metadata=ObjectMeta(name="robot")))
        yield api


WISH = "/team/serviceaccounts/robot/token"


async def test_asked_for_and_used(api: Api) -> None:
    code, answer = await api.send("POST", WISH, TokenRequest(spec=TokenRequestSpec(expiration_seconds=600)))
    assert (code, answer["kind"], answer["metadata"]["name"]) == (201, "TokenRequest", "robot")
    assert answer["spec"] == {"audiences": ["https://here"], "expirationSeconds": 600}
    claims = jwt.decode(answer["status"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 600
    assert claims["sub"] == "system:serviceaccount:team:robot"
    token = answer["status"]["token"]
    assert (await api.send("GET", "/team/pods", token=token))[0] == 200
    await api.send("DELETE", "/team/serviceaccounts/robot")
    assert (await api.send("GET", "/team/pods", token=token))[0] == 401


async def test_for_somebody_else_it_is_worth_nothing_here(api: Api) -> None:
    _, answer = await api.send("POST", WISH, TokenRequest(spec=TokenRequestSpec(audiences=["vault"])))
    assert (await api.send("GET", "/team/pods", token=answer["status"]["token"]))[0] == 401


async def test_it_ends_with_the_pod_that_it_is_bound_to(api: Api) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "robot"}
    pod = {"metadata": {"name": "p"}, "spec": spec}
    for name in ("p", "other"):
        account = spec | ({} if name == "p" else {"serviceAccountName": "another"})
        await api.make("/team/pods", pod | {"metadata": {"name": name}, "spec": account})  # type: ignore[arg-type]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    _, answer = await api.send("POST", WISH, {"spec": {"boundObjectRef": bound}})
    token = answer["status"]["token"]
    assert answer["spec"]["boundObjectRef"]["uid"]
    assert (await api.send("GET", "/team/pods", token=token))[0] == 200
    await api.send("DELETE", "/team/pods/p", {"gracePeriodSeconds": 0})
    assert (await api.send("GET", "/team/pods", token=token))[0] == 401

    for reference, code, text in (
        (bound, 404, 'pods "p" not found'),
        (bound | {"name": "other"}, 400, "running with different serviceaccount name"),
        (bound | {"name": "other", "uid": "x"}, 409, "does not match the UID in record"),
        (bound | {"kind": "Service"}, 422, "spec.boundObjectRef.kind: unsupported value 'Service'"),
    ):
        refused, answer = await api.send("POST", WISH, {"spec": {"boundObjectRef": reference}})
        assert (refused, text in answer["message"]) == (code, True), answer


@pytest.mark.parametrize(
    ("path", "wish", "code", "text"),
    [
        (WISH, {"spec": {"expirationSeconds": 599}}, 422,
         "spec.expirationSeconds: invalid value '599': may not specify a duration less than 10 minutes"),
        (WISH, {"spec": {"expirationSeconds": 2**33}}, 422, "larger than 2^32 seconds"),
        (WISH, {"spec": {"expirationSeconds": "1h"}}, 400, "expirationSeconds"),
        (WISH, {"metadata": {"name": "other"}}, 400, "name in URL"),
        (WISH, {"metadata": {"namespace": "other"}}, 400, "namespace of the provided object"),
        ("/team/serviceaccounts/nobody/token", {}, 404, 'serviceaccounts "nobody" not found'),
    ],
)  # fmt: skip
async def test_a_wish_that_is_refused(api: Api, path: str, wish: dict[str, Any], code: int, text: str) -> None:
    refused, answer = await api.send("POST", path, wish)
    assert (refused, text in answer["message"]) == (code, True), answer
    assert (await api.send("GET", WISH))[0] == 405


async def test_a_wish_as_protobuf(api: Api) -> None:
    """As kubectl 1.32 sends it: {spec: {audiences: ["a"], expirationSeconds: 700}}."""
    spec = b"\x0a\x01a" + b"\x20\xbc\x05"
    raw = b"\x12" + bytes([len(spec)]) + spec
    meta = b"\x0a\x18authentication.k8s.io/v1\x12\x0cTokenRequest"
    body = protobuf.MAGIC + b"\x0a" + bytes([len(meta)]) + meta + b"\x12" + bytes([len(raw)]) + raw
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    code, answer = await api.send("POST", WISH, body, **headers)
    assert (code, answer["spec"]) == (201, {"audiences": ["a"], "expirationSeconds": 700})


async def test_a_dry_run_hands_out_nothing(api: Api) -> None:
    code, answer = await api.send("POST", f"{WISH}?dryRun=All", {})
    assert (code, answer["status"]["token"]) == (201, "")


async def test_without_a_key_none_are_issued(tmp_path: Path) -> None:
    async with Server(Memory(), Settings(), Tracer("t"), insecure=True) as server, aiohttp.ClientSession() as session:
        await server.start()
        api = Api(server, session)
        api.asks_with_tokens = False
        await api.make("/default/serviceaccounts", ServiceAccount(metadata=ObjectMeta(name="robot")))
        code, answer = await api.send("POST", "/default/serviceaccounts/robot/token", {})
        assert (code, "--service-account-signing-key-file" in answer["message"]) == (404, True)
    (tmp_path / "key").write_text("nonsense")
    with pytest.raises(SettingsError, match="--service-account-signing-key-file"):
        Server(Memory(), Settings(service_account_signing_key_file=str(tmp_path / "key")), Tracer("t"), insecure=True)
