import pytest

from labkit.api.types import EndpointPort, ServicePort
from labkit.components.kube_dns.answer import Answer, Question, answer
from labkit.components.kube_dns.records import Record, Records, records_of
from tests.unit.components.kube_dns.test_records import DOMAIN, REDIS, endpoints, service

NAME = "redis-master.default.svc.cluster.local."


@pytest.fixture
def records() -> Records:
    made = Records()
    made.put("default/redis-master", records_of(REDIS, None, DOMAIN))
    web = service("web", "None", ServicePort(name="http", port=80))
    two = endpoints("web", "10.244.2.7", "10.244.3.2", ports=(EndpointPort(name="http", port=80, protocol="TCP"),))
    made.put("default/web", records_of(web, two, DOMAIN))
    return made


def test_an_address(records: Records) -> None:
    assert answer(Question(NAME, "A"), records) == Answer("NOERROR", [Record(NAME, "A", "10.0.0.11")])


def test_the_older_name(records: Records) -> None:
    older = "redis-master.default.cluster.local."
    assert answer(Question(older, "A"), records) == Answer("NOERROR", [Record(older, "A", "10.0.0.11")])


def test_a_headless_service_gives_every_endpoint(records: Records) -> None:
    found = answer(Question("web.default.svc.cluster.local.", "A"), records)
    assert [record.data for record in found.answers] == ["10.244.2.7", "10.244.3.2"]


def test_srv_comes_with_the_addresses_of_its_targets(records: Records) -> None:
    name = "_http._tcp.web.default.svc.cluster.local."
    found = answer(Question(name, "SRV"), records)
    assert len(found.answers) == 2
    assert {record.data for record in found.additional} == {"10.244.2.7", "10.244.3.2"}


@pytest.mark.parametrize("name", [NAME, "default.svc.cluster.local.", "cluster.local."])
def test_a_name_without_that_type_is_no_error(records: Records, name: str) -> None:
    assert answer(Question(name, "AAAA"), records) == Answer("NOERROR", denied=DOMAIN)


@pytest.mark.parametrize("name", ["nope.default.svc.cluster.local.", f"sub.{NAME}", "x.cluster.local."])
def test_no_such_name(records: Records, name: str) -> None:
    assert answer(Question(name, "A"), records) == Answer("NXDOMAIN", denied=DOMAIN)


@pytest.mark.parametrize("name", ["www.example.com.", ".", "local.", "9.9.9.9.in-addr.arpa.", "in-addr.arpa."])
def test_names_outside_are_refused(records: Records, name: str) -> None:
    assert answer(Question(name, "A"), records) == Answer("REFUSED")


@pytest.mark.parametrize("name", ["redis-master.", "nope.", "com."])
def test_a_name_of_one_label_is_nowhere(records: Records, name: str) -> None:
    assert answer(Question(name, "A"), records) == Answer("NXDOMAIN")


def test_a_reverse_question(records: Records) -> None:
    reverse = "11.0.0.10.in-addr.arpa."
    assert answer(Question(reverse, "PTR"), records) == Answer("NOERROR", [Record(reverse, "PTR", NAME)])


def test_the_domain_has_a_soa(records: Records) -> None:
    (soa,) = answer(Question("cluster.local.", "SOA"), records).answers
    assert soa.data == f"ns.dns.cluster.local. hostmaster.cluster.local. {records.serial} 28800 7200 604800 5"


def test_any_gives_one_type(records: Records) -> None:
    assert answer(Question(NAME, "ANY"), records).answers == [Record(NAME, "A", "10.0.0.11")]
    assert answer(Question("svc.cluster.local.", "ANY"), records) == Answer("NOERROR", denied=DOMAIN)


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_the_zone_is_handed_to_nobody(records: Records, kind: str) -> None:
    assert answer(Question("cluster.local.", kind), records) == Answer("REFUSED")


def test_private_addresses_without_a_name_are_denied_here(records: Records) -> None:
    for name, zone in (("12.0.0.10", "10"), ("1.1.20.172", "20.172"), ("9.8.168.192", "168.192"), ("1.0.0.127", "127")):
        asked = Question(f"{name}.in-addr.arpa.", "PTR")
        assert answer(asked, records) == Answer("NXDOMAIN", denied=f"{zone}.in-addr.arpa.")
    assert answer(Question("10.in-addr.arpa.", "PTR"), records) == Answer("NOERROR", denied="10.in-addr.arpa.")
    assert answer(Question("1.1.32.172.in-addr.arpa.", "PTR"), records) == Answer("REFUSED")


def test_before_anything_is_known_nothing_is_denied() -> None:
    assert answer(Question(NAME, "A"), None) == Answer("SERVFAIL")
