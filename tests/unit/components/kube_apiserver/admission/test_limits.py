"""LimitRanger and ResourceQuota, with the texts of 1.0."""

import pytest

from labkit.api.errors import Forbidden
from labkit.api.types import (
    Container,
    LimitRange,
    LimitRangeItem,
    LimitRangeSpec,
    ObjectMeta,
    Pod,
    PodSpec,
    Quantity,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceQuotaStatus,
    ResourceRequirements,
    Service,
)
from labkit.components.kube_apiserver.admission import limit_ranger, resource_quota
from labkit.components.kube_apiserver.admission.plugin import NotYet
from tests.unit.components.kube_apiserver.admission.view import Literals, asked

META = ObjectMeta(name="limits", namespace="default")


def pod(*containers: dict[str, Quantity]) -> Pod:
    made = [
        Container(name=f"c{n}", resources=ResourceRequirements(limits=limits)) for n, limits in enumerate(containers)
    ]
    return Pod(metadata=ObjectMeta(name="big"), spec=PodSpec(containers=made))


def limits(*items: LimitRangeItem) -> Literals:
    return Literals([LimitRange(metadata=META, spec=LimitRangeSpec(limits=list(items)))])


def quota(hard: dict[str, Quantity], used: dict[str, Quantity]) -> ResourceQuota:
    return ResourceQuota(
        metadata=META, spec=ResourceQuotaSpec(hard=hard), status=ResourceQuotaStatus(hard=hard, used=used)
    )


def test_defaults_are_for_what_a_container_leaves_open() -> None:
    view = limits(LimitRangeItem(type="Container", default={"cpu": "100m", "memory": "64Mi"}))
    admitted = limit_ranger.admit(asked(pod({}, {"cpu": "1"})), view)
    assert [container.resources.limits for container in admitted.spec.containers] == [
        {"cpu": "100m", "memory": "64Mi"}, {"cpu": "1", "memory": "64Mi"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (LimitRangeItem(type="Container", max={"cpu": "1"}), "Maximum CPU usage per container is 1"),
        (LimitRangeItem(type="Pod", max={"cpu": "2"}), "Maximum CPU usage per pod is 2, but requested 2100m"),
        (LimitRangeItem(type="Container", max={"memory": "64Mi"}), "Maximum memory usage per container is 64Mi"),
        (LimitRangeItem(type="Container", min={"cpu": "1"}), "Minimum CPU usage per container is 1"),
        (LimitRangeItem(type="Pod", min={"memory": "1Gi"}), "Minimum memory usage per pod is 1Gi"),
    ],
)
def test_bounds(item: LimitRangeItem, why: str) -> None:
    given = pod({"cpu": "1500m", "memory": "100Mi"}, {"cpu": "600m", "memory": "10Mi"})
    for operation in ("CREATE", "UPDATE"):
        with pytest.raises(Forbidden) as refused:
            limit_ranger.admit(asked(given, operation), limits(item))  # type: ignore[arg-type]
        assert refused.value.message == f'Pod "big" is forbidden: {why}'


def test_within_bounds_and_other_kinds() -> None:
    given = pod({"cpu": "1"})
    bounds = limits(LimitRangeItem(type="Container", max={"cpu": "1"}, min={"cpu": "1"}))
    assert limit_ranger.admit(asked(given), bounds) is given
    service = Service(metadata=ObjectMeta(name="s"))
    assert limit_ranger.admit(asked(service), bounds) is service


def test_a_new_pod_is_charged() -> None:
    before = quota({"pods": "2", "cpu": "1", "memory": "1Gi"}, {"pods": "1", "cpu": "500m", "memory": "64Mi"})
    after = resource_quota.charged(
        before, asked(pod({"cpu": "200m", "memory": "32Mi"}, {"cpu": "300m", "memory": "32Mi"}))
    )
    assert after.status.used == {"pods": "2", "cpu": "1", "memory": "128Mi"}
    assert before.status.used["pods"] == "1"


@pytest.mark.parametrize(
    ("hard", "used", "why"),
    [
        ({"pods": "1"}, {"pods": "1"}, "Limited to 1 pods"),
        ({"cpu": "1"}, {"cpu": "600m"}, "Limited to 1 CPU"),
        ({"memory": "64Mi"}, {"memory": "0"}, "Limited to 64Mi memory, but pod has no specified memory limit"),
    ],
)
def test_no_room(hard: dict[str, Quantity], used: dict[str, Quantity], why: str) -> None:
    with pytest.raises(Forbidden) as refused:
        resource_quota.admit(asked(pod({"cpu": "500m"})), Literals([quota(hard, used)]))
    assert refused.value.message == f'Pod "big" is forbidden: {why}'


def test_before_the_first_count_nothing_is_admitted_yet() -> None:
    with pytest.raises(NotYet, match="Quota usage stats are not yet known"):
        resource_quota.admit(asked(pod({})), Literals([quota({"pods": "1"}, {})]))


def test_what_no_quota_speaks_of() -> None:
    given = Service(metadata=ObjectMeta(name="s"))
    untouched = quota({"pods": "1"}, {"pods": "1"})
    assert resource_quota.admit(asked(given), Literals([untouched])) is given
    assert resource_quota.charged(untouched, asked(given)) == untouched
    full = pod({})
    assert resource_quota.admit(asked(full, "UPDATE"), Literals([untouched])) is full
