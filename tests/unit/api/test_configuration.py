"""Secret, ConfigMap, ServiceAccount."""

import base64
from typing import Any

import pytest

from labkit.api import codec
from labkit.api.errors import BadRequest
from labkit.api.names import DATA_KEY
from labkit.api.types import ConfigMap, Secret
from tests.unit.api.reading import faults, read, update_faults

DOCKERCFG = "kubernetes.io/dockercfg"
TOKEN = "kubernetes.io/service-account-token"
KEY = DATA_KEY.sentence


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_secret_is_bytes_here_and_base64_in_json() -> None:
    body = b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"},"data":{"token":"aGVsbG8="}}'
    secret = codec.decode(body, Secret)
    assert secret.data == {"token": b"hello"}
    assert codec.to_builtins(secret)["data"] == {"token": "aGVsbG8="}


def test_base64_may_be_broken_into_lines() -> None:
    assert read("Secret", data={"token": "aGVs\nbG8=\n"}).data == {"token": b"hello"}
    assert read("ConfigMap", binaryData={"a": "aGVs\nbG8=\n"}).binary_data == {"a": b"hello"}


@pytest.mark.parametrize(
    ("text", "at"), [("!!!", 0), ("aGVsbG8", 4), ("aGVs*bG8=", 4), ("aGVsbG8=x", 8), ("aG=x", 2), ("a", 0), ("====", 0)]
)
def test_where_base64_ends(text: str, at: int) -> None:
    with pytest.raises(BadRequest, match=f"illegal base64 data at input byte {at}$"):
        read("Secret", data={"fine": "aGVsbG8=", "token": text})


def test_string_data_becomes_data_and_wins() -> None:
    secret = read("Secret", data={"a": base64_of("old"), "b": base64_of("kept")}, stringData={"a": "new"})
    assert (secret.data, secret.string_data, secret.type) == ({"a": b"new", "b": b"kept"}, {}, "Opaque")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"data": {".hidden-key": "", "a.b": "", "DB_PASSWORD": ""}}, []),
        ({"data": {"a b": ""}}, [f"data[a b]: invalid value 'a b': {KEY}"]),
        (
            {"data": {"..": "", "a/b": ""}},
            [f"data[..]: invalid value '..': {KEY}", f"data[a/b]: invalid value 'a/b': {KEY}"],
        ),
        ({"data": {"a": base64_of("x" * 1024 * 1025)}}, ["data: forbidden 'Maximum secret size exceeded'"]),
        ({"type": TOKEN}, ["metadata.annotations[kubernetes.io/service-account.name]: required value"]),
        ({"type": TOKEN, "metadata": {"name": "x", "annotations": {"kubernetes.io/service-account.name": "sa"}}}, []),
        ({"type": DOCKERCFG}, ["data[.dockercfg]: required value"]),
        ({"type": DOCKERCFG, "data": {".dockercfg": base64_of("{}")}}, []),
        (
            {"type": DOCKERCFG, "data": {".dockercfg": base64_of("secret!")}},
            ["data[.dockercfg]: invalid value '<secret contents redacted>': not valid JSON"],
        ),
        (
            {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64_of("[]")}},
            ["data[.dockerconfigjson]: invalid value '<secret contents redacted>': expected a JSON object"],
        ),
        ({"type": "my.own/type", "data": {"a": ""}}, []),
    ],
    ids=str,
)
def test_secrets(members: dict[str, Any], expected: list[str]) -> None:
    assert faults("Secret", **members) == expected


def test_the_type_of_a_secret_stays() -> None:
    old = read("Secret", type=DOCKERCFG, data={".dockercfg": base64_of("{}")})
    assert update_faults(read("Secret"), old) == ["type: invalid value 'Opaque': field is immutable"]
    assert update_faults(read("Secret", data={"a": ""}), read("Secret")) == []


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"data": {"UPPER_and.lower-1": "x", ".dot": ""}}, []),
        ({"data": {"a": "1"}, "binaryData": {"a": ""}}, ["data[a]: invalid value 'a': duplicate of key present in "]),
        ({"data": {"..": ""}}, ["data[..]: invalid value '..': must have"]),
        ({"data": {"a/b": ""}, "binaryData": {".": ""}}, ["data[a/b]: invalid", "binaryData[.]: invalid"]),
        ({"data": {"a": "x" * 1024 * 1025}}, ["invalid value '': must have at most 1048576 characters"]),
        ({"data": {"a": "ü" * 1024 * 513}}, ["invalid value '': must have at most 1048576 characters"]),  # bytes count
    ],
    ids=lambda value: str(value)[:60],
)
def test_config_maps(members: dict[str, Any], expected: list[str]) -> None:
    found = faults("ConfigMap", **members)
    assert len(found) == len(expected)
    assert all(fault.startswith(beginning) for fault, beginning in zip(found, expected, strict=True))


def test_config_map_values_are_texts() -> None:
    with pytest.raises(BadRequest, match="cannot unmarshal number into field data"):
        codec.decode(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},"data":{"a":1}}', ConfigMap)


def test_service_accounts() -> None:
    assert faults("ServiceAccount", secrets=[{"name": "token"}], imagePullSecrets=[{"name": "pull"}]) == []
    assert faults("ServiceAccount", metadata={"name": "Bad_Name"})[0].startswith("metadata.name: invalid value")
    assert update_faults(read("ServiceAccount", secrets=[{"name": "token"}]), read("ServiceAccount")) == []
