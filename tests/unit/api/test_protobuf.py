"""Bodies are put together here field by field, as https://protobuf.dev/programming-guides/encoding says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api import codec, protobuf
from labkit.api.errors import ApiError, BadRequest, UnsupportedMediaType
from labkit.api.types import (
    ConfigMap,
    DeleteOptions,
    Eviction,
    Namespace,
    Pod,
    ResourceAttributes,
    ResourceQuota,
    Secret,
    SelfSubjectAccessReview,
    SelfSubjectReview,
    SelfSubjectRulesReview,
    Service,
)


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def body(kind: str, raw: bytes, version: str = "v1") -> bytes:
    meta = field(1, version) + field(2, kind)
    return b"k8s\x00" + field(1, meta) + field(2, raw) + field(3, "") + field(4, "")


def test_create_namespace() -> None:
    # Go writes every field that is no pointer, empty or not
    meta = (
        field(1, "demo") + field(2, "") + field(3, "") + field(4, "") + field(5, "") + field(6, "") + field(7, 0)
        + field(8, b"") + field(11, field(1, "team") + field(2, "a")) + field(11, field(1, "tier") + field(2, "b"))
    )  # fmt: skip
    decoded = protobuf.decode(body("Namespace", field(1, meta) + field(2, b"") + field(3, field(1, ""))))
    assert decoded == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "demo", "labels": {"team": "a", "tier": "b"}},
    }
    assert codec.from_builtins(decoded, Namespace).metadata.name == "demo"


def test_create_service() -> None:
    port = (
        field(1, "web") + field(2, "TCP") + field(3, 80)
        + field(4, field(1, 0) + field(2, 8080) + field(3, "")) + field(5, 0)
    )  # fmt: skip
    named = field(2, "UDP") + field(3, 53) + field(4, field(1, 1) + field(2, 0) + field(3, "dns"))
    spec = field(1, port) + field(1, named) + field(2, field(1, "app") + field(2, "x")) + field(3, "None")
    spec += field(4, "ClusterIP") + field(7, "") + field(13, 0) + field(18, "None")
    decoded = protobuf.decode(body("Service", field(1, field(1, "s")) + field(2, spec) + field(3, field(1, b""))))
    assert decoded["spec"] == {
        "ports": [
            {"name": "web", "protocol": "TCP", "port": 80, "targetPort": 8080},
            {"protocol": "UDP", "port": 53, "targetPort": "dns"},
        ],
        "selector": {"app": "x"},
        "clusterIP": "None",
        "type": "ClusterIP",
    }
    assert codec.from_builtins(decoded, Service).spec.ports[1].target_port == "dns"


def entry(key: str, value: bytes | str) -> bytes:
    return field(1, key) + field(2, value)


def test_create_secret() -> None:
    raw = field(1, field(1, "s")) + field(2, entry("pw", b"\xff\x00")) + field(2, entry("none", b""))
    decoded = protobuf.decode(body("Secret", raw + field(3, "Opaque")))
    assert decoded["data"] == {"pw": "/wA=", "none": ""}
    assert codec.from_builtins(decoded, Secret).data == {"pw": b"\xff\x00", "none": b""}


def test_create_config_map() -> None:
    raw = field(1, field(1, "c")) + field(2, entry("a", "b")) + field(3, entry("bin", b"\x00"))
    config = codec.from_builtins(protobuf.decode(body("ConfigMap", raw)), ConfigMap)
    assert (config.data, config.binary_data) == ({"a": "b"}, {"bin": b"\x00"})


def test_create_service_account() -> None:
    raw = field(1, field(1, "sa")) + field(2, field(3, "token")) + field(3, field(1, "pull")) + field(4, 0)
    assert protobuf.decode(body("ServiceAccount", raw)) == {
        "kind": "ServiceAccount",
        "apiVersion": "v1",
        "metadata": {"name": "sa"},
        "secrets": [{"name": "token"}],
        "imagePullSecrets": [{"name": "pull"}],
        "automountServiceAccountToken": False,
    }


def test_create_quota() -> None:
    hard = field(1, entry("cpu", field(1, "500m"))) + field(1, entry("pods", field(1, "10")))
    decoded = protobuf.decode(body("ResourceQuota", field(1, field(1, "q")) + field(2, hard) + field(3, b"")))
    assert codec.from_builtins(decoded, ResourceQuota).spec.hard == {"cpu": "500m", "pods": "10"}


def test_eviction() -> None:
    raw = field(1, field(1, "p1")) + field(2, field(1, 0))
    eviction = codec.from_builtins(protobuf.decode(body("Eviction", raw, "policy/v1")), Eviction)
    assert eviction.delete_options == DeleteOptions(grace_period_seconds=0)


def test_may_i() -> None:
    wish = field(1, "default") + field(2, "list") + field(3, "") + field(4, "*") + field(5, "pods")
    raw = field(1, b"") + field(2, field(1, wish)) + field(3, field(1, 0))
    decoded = protobuf.decode(body("SelfSubjectAccessReview", raw, "authorization.k8s.io/v1"))
    review = codec.from_builtins(decoded, SelfSubjectAccessReview)
    assert review.spec.resource_attributes == ResourceAttributes(
        namespace="default", verb="list", version="*", resource="pods"
    )
    assert codec.to_builtins(review)["status"] == {"allowed": False}


def test_what_may_i_and_who_am_i() -> None:
    raw = field(2, field(1, "default"))
    decoded = protobuf.decode(body("SelfSubjectRulesReview", raw, "authorization.k8s.io/v1"))
    review = codec.from_builtins(decoded, SelfSubjectRulesReview)
    assert review.spec.namespace == "default"
    assert codec.to_builtins(review)["status"] == {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
    decoded = protobuf.decode(body("SelfSubjectReview", field(2, field(1, b"")), "authentication.k8s.io/v1"))
    assert codec.from_builtins(decoded, SelfSubjectReview).status.user_info.username == ""


def test_delete_options_keep_a_grace_of_zero() -> None:
    decoded = protobuf.decode(body("DeleteOptions", field(1, 0) + field(2, field(1, "u1")) + field(4, "Background")))
    options = codec.from_builtins(decoded, DeleteOptions)
    assert (options.grace_period_seconds, options.propagation_policy) == (0, "Background")
    assert options.preconditions is not None
    assert options.preconditions.uid == "u1"
    assert protobuf.decode(body("DeleteOptions", field(1, -1)))["gracePeriodSeconds"] == -1


def test_timestamps() -> None:
    meta = field(1, "x") + field(8, field(1, 1433505600))
    decoded = protobuf.decode(body("Namespace", field(1, meta)))
    assert decoded["metadata"]["creationTimestamp"] == "2015-06-05T12:00:00Z"


def test_fields_of_later_versions_are_passed_over() -> None:
    fixed = varint(99 << 3 | 1) + b"12345678" + varint(98 << 3 | 5) + b"1234"
    assert protobuf.decode(body("Namespace", fixed + field(1, field(1, "x"))))["metadata"] == {"name": "x"}


def test_an_unknown_kind() -> None:
    with pytest.raises(UnsupportedMediaType, match="Gadget"):
        protobuf.decode(body("Gadget", b""))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"k8s\x00\x0a",
        b"k8s\x00\x0a\xff\x01x",
        b"k8s\x00" + b"\xff" * 20,
        body("Namespace", field(1, b"\x0a\x05ab")),
        body("Namespace", field(1, field(1, b"\xff\xfe"))),
        body("Namespace", field(1, 7)),
        body("Service", field(2, field(1, field(3, "80")))),
        body("Namespace", field(1, field(8, field(1, 1 << 62)))),
        body("Namespace", b"\x0b"),
    ],
)
def test_damaged_bodies(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        protobuf.decode(raw)


@given(st.binary(max_size=60), st.sampled_from(["Namespace", "Service", "DeleteOptions", "Unknown", "ObjectMeta"]))
def test_any_bytes_are_a_document_or_an_answer(raw: bytes, kind: str) -> None:
    try:
        assert protobuf.decode(body(kind, raw))["kind"] == kind
    except ApiError as exc:
        assert exc.code in (400, 415)  # noqa: PT017  (both outcomes are fine)


def test_a_pod_with_what_json_writes_inline() -> None:
    """`kubectl debug`: a volume's source, a probe's handler and a selector's object have no name of their own."""
    reference = field(1, "settings")
    env = field(1, "A") + field(3, field(3, field(1, reference) + field(2, "key") + field(3, 0)))
    probe = field(1, field(2, field(1, "/up") + field(2, field(1, 1) + field(3, "web")))) + field(3, 2)
    container = field(1, "c") + field(2, "redis") + field(7, env) + field(10, probe)
    volumes = field(1, field(1, "e") + field(2, field(2, b""))) + field(
        1, field(1, "m") + field(2, field(19, field(1, reference)))
    )
    spec = volumes + field(2, container) + field(4, 0) + field(10, "agent1") + field(12, 1)
    pod = codec.from_builtins(protobuf.decode(body("Pod", field(1, field(1, "debugger")) + field(2, spec))), Pod)
    assert (pod.metadata.name, pod.spec.node_name, pod.spec.host_pid) == ("debugger", "agent1", True)
    assert pod.spec.termination_grace_period_seconds == 0
    one, other = pod.spec.volumes
    assert one.empty_dir is not None
    assert other.config_map is not None
    assert other.config_map.name == "settings"
    (made,) = pod.spec.containers
    selector = made.env[0].value_from.config_map_key_ref  # type: ignore[union-attr]
    assert (selector.name, selector.key, selector.optional) == ("settings", "key", False)  # type: ignore[union-attr]
    get = made.liveness_probe.http_get  # type: ignore[union-attr]
    assert (get.path, get.port, made.liveness_probe.timeout_seconds) == ("/up", "web", 2)  # type: ignore[union-attr]
