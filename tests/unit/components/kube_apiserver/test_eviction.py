"""POST .../pods/NAME/eviction."""

import pytest

from .conftest import PODS, Http, pod

EVICTION = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p1", "namespace": "default"}}


async def test_the_pod_goes(http: Http) -> None:
    await http.made(PODS, pod())
    code, status = await http("POST", f"{PODS}/p1/eviction", EVICTION)
    assert (code, status["kind"], status["status"]) == (201, "Status", "Success")
    assert (await http("GET", f"{PODS}/p1"))[0] == 404
    code, status = await http("POST", f"{PODS}/p1/eviction", EVICTION)
    assert (code, status["message"]) == (404, 'pods "p1" not found')


async def test_it_goes_as_the_options_say(http: Http) -> None:
    made = await http.made(PODS, pod())
    await http("POST", f"{PODS}/p1/binding", {"target": {"name": "n1"}})
    other = EVICTION | {"deleteOptions": {"preconditions": {"uid": "other"}}}
    assert (await http("POST", f"{PODS}/p1/eviction", other))[0] == 409
    slowly = {"gracePeriodSeconds": 30, "preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await http("POST", f"{PODS}/p1/eviction", EVICTION | {"deleteOptions": slowly}))[0] == 201
    assert (await http.got(f"{PODS}/p1"))["metadata"]["deletionGracePeriodSeconds"] == 30


@pytest.mark.parametrize("where", ["query", "options"])
async def test_dry_run(http: Http, where: str) -> None:
    await http.made(PODS, pod())
    query = "?dryRun=All" if where == "query" else ""
    options = {"deleteOptions": {"dryRun": ["All"]}} if where == "options" else {}
    assert (await http("POST", f"{PODS}/p1/eviction{query}", EVICTION | options))[0] == 201
    assert (await http("GET", f"{PODS}/p1"))[0] == 200


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("POST", EVICTION | {"metadata": {"name": "p2"}}, 400),
        ("POST", EVICTION | {"metadata": {"name": "p1", "namespace": "other"}}, 400),
        ("POST", EVICTION | {"apiVersion": "v1"}, 400),
        ("POST", b"{", 400),
        ("GET", None, 405),
        ("DELETE", None, 405),
    ],
)
async def test_refusals(http: Http, method: str, body: object, code: int) -> None:
    await http.made(PODS, pod())
    assert (await http(method, f"{PODS}/p1/eviction", body))[0] == code
    assert (await http("GET", f"{PODS}/p1"))[0] == 200
