"""The variables that a container is told: the original's names, order and expansion."""

from typing import Any

import msgspec
import pytest

from labkit.api.types import Container, Pod, Service
from labkit.components.kubelet.env import env_for_services, env_of, expand, lookup
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


def env(
    variables: list[dict[str, Any]], services: list[tuple[str, str]], of: Pod | None = None
) -> list[tuple[str, str]]:
    spec = msgspec.convert({"name": "c", "env": variables}, Container)
    return env_of(spec, of or pod(), "10.244.2.5", services)


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

    told = env([ref("metadata.name"), ref("metadata.namespace"), ref("status.podIP")], [])
    assert dict(told) == {"metadata.name": "web", "metadata.namespace": "default", "status.podIP": "10.244.2.5"}
    with pytest.raises(ValueError, match=r"unsupported fieldPath: spec\.nodeName \(supported: metadata\.name"):
        env([ref("spec.nodeName")], [])


@pytest.mark.parametrize(
    "container",
    [
        {"name": "c", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        {"name": "c", "envFrom": [{"configMapRef": {"name": "m"}}]},
    ],
)
def test_a_source_that_is_not_read_is_refused_in_words(container: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fieldRef"):
        env_of(msgspec.convert(container, Container), pod(), "10.244.2.2", [])
