"""The variables that a container is told: the original's names, order and expansion."""

from typing import Any

import msgspec
import pytest

from labkit.api.types import ConfigMap, Container, Pod, Secret, Service
from labkit.components.kubelet.env import VariableFailure, env_for_services, env_of, expand, lookup, skipped_keys
from labkit.components.kubelet.fields import Addresses
from labkit.components.kubelet.sources import Found, Reference
from tests.unit.components.kubelet.pods import pod


def service(name: str, address: str, *ports: tuple[str, str, int], namespace: str = "default") -> Service:
    listed = [{"name": n, "protocol": p, "port": number} for n, p, number in ports]
    return msgspec.convert(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": address, "ports": listed}}, Service
    )


REDIS = service("redis-master", "10.0.0.11", ("", "TCP", 6379))
KUBERNETES = service("kubernetes", "10.0.0.1", ("", "TCP", 443))


def lines(*services: Service, namespace: str = "default") -> list[str]:
    return [f"{name}={value}" for name, value in env_for_services(services, namespace)]


def test_the_seven_variables_of_redis_master() -> None:
    """As recorded from Kubernetes 0.18."""
    assert lines(REDIS) == [
        "REDIS_MASTER_SERVICE_HOST=10.0.0.11",
        "REDIS_MASTER_SERVICE_PORT=6379",
        "REDIS_MASTER_PORT=tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
        "REDIS_MASTER_PORT_6379_TCP_PORT=6379",
        "REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11",
    ]


def test_several_ports_names_and_protocols_in_the_original_s_order() -> None:
    """The cases of Kubernetes' own envvars_test.go, as recorded."""
    assert lines(
        service("abc-123", "5.6.7.8", ("u-d-p", "UDP", 8081), ("t-c-p", "TCP", 8082)),
        service("q-u-u-x", "9.8.7.6", ("", "TCP", 9), ("8", "TCP", 8)),
        service("headless", "None", ("", "TCP", 80)),
        service("svrc-clusterip-none", "", ("", "TCP", 80)),
    ) == [
        "ABC_123_SERVICE_HOST=5.6.7.8",
        "ABC_123_SERVICE_PORT=8081",
        "ABC_123_SERVICE_PORT_U_D_P=8081",
        "ABC_123_SERVICE_PORT_T_C_P=8082",
        "ABC_123_PORT=udp://5.6.7.8:8081",
        "ABC_123_PORT_8081_UDP=udp://5.6.7.8:8081",
        "ABC_123_PORT_8081_UDP_PROTO=udp",
        "ABC_123_PORT_8081_UDP_PORT=8081",
        "ABC_123_PORT_8081_UDP_ADDR=5.6.7.8",
        "ABC_123_PORT_8082_TCP=tcp://5.6.7.8:8082",
        "ABC_123_PORT_8082_TCP_PROTO=tcp",
        "ABC_123_PORT_8082_TCP_PORT=8082",
        "ABC_123_PORT_8082_TCP_ADDR=5.6.7.8",
        "Q_U_U_X_SERVICE_HOST=9.8.7.6",
        "Q_U_U_X_SERVICE_PORT=9",
        "Q_U_U_X_SERVICE_PORT_8=8",
        "Q_U_U_X_PORT=tcp://9.8.7.6:9",
        "Q_U_U_X_PORT_9_TCP=tcp://9.8.7.6:9",
        "Q_U_U_X_PORT_9_TCP_PROTO=tcp",
        "Q_U_U_X_PORT_9_TCP_PORT=9",
        "Q_U_U_X_PORT_9_TCP_ADDR=9.8.7.6",
        "Q_U_U_X_PORT_8_TCP=tcp://9.8.7.6:8",
        "Q_U_U_X_PORT_8_TCP_PROTO=tcp",
        "Q_U_U_X_PORT_8_TCP_PORT=8",
        "Q_U_U_X_PORT_8_TCP_ADDR=9.8.7.6",
    ]


def test_own_namespace_and_the_master_s_service() -> None:
    other = service("redis-master", "10.0.0.99", ("", "TCP", 6379), namespace="other")
    assert "KUBERNETES_SERVICE_HOST=10.0.0.1" in lines(KUBERNETES, REDIS, other, namespace="other")
    assert "REDIS_MASTER_SERVICE_HOST=10.0.0.99" in lines(KUBERNETES, REDIS, other, namespace="other")
    assert not any("10.0.0.11" in line for line in lines(KUBERNETES, REDIS, other, namespace="other"))


def test_a_namespace_s_own_kubernetes_service_wins() -> None:
    own = service("kubernetes", "10.0.0.77", ("", "TCP", 1), namespace="other")
    assert (
        lines(own, KUBERNETES, namespace="other")
        == lines(KUBERNETES, own, namespace="other")
        == lines(own, namespace="other")
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"), ("a$(A)b$(B)", "a1b2"), ("$(NOT_THERE)", "$(NOT_THERE)"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"),
        ("$A", "$A"), ("${A}", "${A}"), ("$(A", "$(A"), ("cost: 5$", "cost: 5$"), ("$$", "$"), ("$()", "$()"), ("", ""),
        ("$(A)$(A)", "11"), ("$(EMPTY)", ""), ("$($(A))", "$(1)"),
    ],
)  # fmt: skip
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, lookup({"A": "1", "EMPTY": ""}, {"A": "shadowed", "B": "2"})) == expanded


DATABASE = Secret(data={"user": b"root", "password": b"s3cret", "key.pem": b"---", "blob": b"\xff\x00"})
FOUND: Found = {
    Reference(Secret, "db"): DATABASE,
    Reference(ConfigMap, "colours"): ConfigMap(data={"SKY": "blue", "GRASS": "green", "1st": "x"}),
}
ADDRESSES = Addresses("10.244.2.5", "10.245.1.12")


def env(
    variables: list[dict[str, Any]], services: list[tuple[str, str]], of: Pod | None = None, **fields: Any
) -> list[tuple[str, str]]:
    spec = msgspec.convert({"name": "c", "env": variables} | fields, Container)
    return env_of(spec, of or pod(), ADDRESSES, services, FOUND)


def test_own_variables_come_first_and_win() -> None:
    services = [("REDIS_MASTER_SERVICE_HOST", "10.0.0.11"), ("REDIS_MASTER_SERVICE_PORT", "6379")]
    own = [
        {"name": "URL", "value": "redis://$(REDIS_MASTER_SERVICE_HOST):$(REDIS_MASTER_SERVICE_PORT)/$(LATER)"},
        {"name": "REDIS_MASTER_SERVICE_PORT", "value": "7000"},
        {"name": "LATER", "value": "$(URL)"},
    ]
    assert env(own, services) == [
        ("URL", "redis://10.0.0.11:$(REDIS_MASTER_SERVICE_PORT)/$(LATER)"),
        ("REDIS_MASTER_SERVICE_PORT", "7000"),
        ("LATER", "redis://10.0.0.11:$(REDIS_MASTER_SERVICE_PORT)/$(LATER)"),
        ("REDIS_MASTER_SERVICE_HOST", "10.0.0.11"),
    ]


def test_fields_of_the_pod() -> None:
    def ref(path: str) -> dict[str, Any]:
        return {"name": path, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    meta = {"uid": "4-2", "labels": {"app": "x"}, "annotations": {"a/b": "y"}}
    of = pod(metadata=meta, serviceAccountName="robot")
    expected = {
        "metadata.name": "web", "metadata.namespace": "default", "metadata.uid": "4-2", "metadata.labels['app']": "x",
        "metadata.annotations['a/b']": "y", "metadata.labels['no']": "", "spec.nodeName": "n",
        "spec.serviceAccountName": "robot", "status.podIP": "10.244.2.5", "status.hostIP": "10.245.1.12",
    }  # fmt: skip
    assert dict(env([ref(path) for path in expected], [], of)) == expected
    with pytest.raises(
        VariableFailure, match=r"env spec\.x: unsupported fieldPath: spec\.x \(supported: metadata\.name"
    ):
        env([ref("spec.x")], [])


def key_ref(kind: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": key.upper(), "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key} | more}}


def test_keys_of_secrets_and_config_maps() -> None:
    literal = {"name": "URL", "value": "$(PASSWORD)@$(SKY)"}
    assert env([key_ref("secret", "db", "password"), key_ref("configMap", "colours", "SKY"), literal], []) == [
        ("PASSWORD", "s3cret"), ("SKY", "blue"), ("URL", "s3cret@blue"),
    ]  # fmt: skip


def test_all_of_a_source_comes_first_and_yields() -> None:
    """The order: envFrom, the container's own, those of the services; of two of one name the own one counts."""
    sources = [{"configMapRef": {"name": "colours"}}, {"prefix": "DB_", "secretRef": {"name": "db"}}]
    sources += [{"secretRef": {"name": "absent", "optional": True}}]
    own = [{"name": "SKY", "value": "grey"}, {"name": "MIX", "value": "$(SKY)$(GRASS)"}]
    fields = {"envFrom": [*sources[:1], *sources[2:]]}
    services = [("GRASS", "of a service"), ("HOST", "10.0.0.1")]
    assert env(own, services, **fields) == [
        ("GRASS", "green"),
        ("SKY", "grey"),
        ("MIX", "greygreen"),
        ("HOST", "10.0.0.1"),
    ]
    spec = msgspec.convert({"name": "c", "envFrom": sources[:1]}, Container)
    assert skipped_keys(spec, FOUND) == ['1st of configmap "colours"']


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"env": [key_ref("secret", "db", "nope")]},
         "couldn't find key nope in secret \"db\" (there: blob, key.pem, password, user): add it, "
         "or set optional: true"),
        ({"env": [key_ref("configMap", "none", "k")]}, 'configmap "none" not found: create it, or set optional: true'),
        ({"env": [key_ref("secret", "db", "blob")]},
         'key blob of secret "db" is not a text: mount it as a file (a volume)'),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found: create it, or set optional: true'),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(container: dict[str, Any], told: str) -> None:
    with pytest.raises(VariableFailure) as failure:
        env(container.get("env", []), [], envFrom=container.get("envFrom", []))
    assert str(failure.value) == told


def test_what_is_optional_may_be_missing() -> None:
    absent = [key_ref("secret", "db", "nope", optional=True), key_ref("configMap", "none", "k", optional=True)]
    assert env([*absent, {"name": "A", "value": "$(NOPE)"}, {"name": "B", "valueFrom": {}}], []) == [
        ("A", "$(NOPE)"), ("B", ""),
    ]  # fmt: skip
