"""DenyServiceExternalIPs: no new address, under none of the field's names."""

import pytest

from labkit.api.errors import Forbidden
from labkit.api.types import ObjectMeta, Service, ServiceSpec
from labkit.components.kube_apiserver.admission.deny_service_external_ips import admit
from tests.unit.components.kube_apiserver.admission.view import Literals, asked, pod

WHY = 'Service "s" is forbidden: Use of external IPs is denied by admission control'


def service(*ips: str, field: str = "external_ips") -> Service:
    return Service(metadata=ObjectMeta(name="s", namespace="default"), spec=ServiceSpec(**{field: list(ips)}))


@pytest.mark.parametrize("field", ["external_ips", "deprecated_public_ips", "public_ips"])
def test_a_new_service(field: str) -> None:
    with pytest.raises(Forbidden) as refused:
        admit(asked(service("192.0.2.1", field=field)), Literals())
    assert refused.value.message == WHY


def test_a_service_without_and_what_is_no_service() -> None:
    for given in (service(), pod()):
        assert admit(asked(given), Literals()) is given


def test_what_is_there_may_stay_and_go_but_not_grow() -> None:
    before = Literals([service("192.0.2.1")])
    for ips in ((), ("192.0.2.1",)):
        admit(asked(service(*ips), "UPDATE"), before)
    assert admit(asked(service("192.0.2.1"), "DELETE"), before) is None
    with pytest.raises(Forbidden):
        admit(asked(service("192.0.2.1", "192.0.2.2"), "UPDATE"), before)
