from labkit.api.types import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.components.kube_dns.records import Record, Records, records_of

DOMAIN = "cluster.local."


def service(name: str, ip: str, *ports: ServicePort, namespace: str = "default") -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace), spec=ServiceSpec(cluster_ip=ip, ports=list(ports))
    )


def endpoints(name: str, *ips: str, ports: tuple[EndpointPort, ...] = (), not_ready: tuple[str, ...] = ()) -> Endpoints:
    subset = EndpointSubset(
        addresses=[EndpointAddress(ip=ip) for ip in ips],
        not_ready_addresses=[EndpointAddress(ip=ip) for ip in not_ready],
        ports=list(ports),
    )
    return Endpoints(metadata=ObjectMeta(name=name, namespace="default"), subsets=[subset])


REDIS = service("redis-master", "10.0.0.11", ServicePort(name="redis", port=6379, protocol="TCP"))


def test_a_service_has_both_names_its_port_and_its_reverse() -> None:
    assert records_of(REDIS, None, DOMAIN) == [
        ("redis-master.default.svc.cluster.local.", "A", "10.0.0.11"),
        ("redis-master.default.cluster.local.", "A", "10.0.0.11"),
        ("11.0.0.10.in-addr.arpa.", "PTR", "redis-master.default.svc.cluster.local."),
        (
            "_redis._tcp.redis-master.default.svc.cluster.local.",
            "SRV",
            "10 10 6379 redis-master.default.svc.cluster.local.",
        ),
    ]


def test_a_headless_service_has_its_ready_endpoints() -> None:
    port = EndpointPort(name="http", port=8080, protocol="TCP")
    ready = endpoints("web", "10.244.3.2", "10.244.2.7", ports=(port,), not_ready=("10.244.9.9",))
    name = "web.default.svc.cluster.local."
    assert records_of(service("web", "None", ServicePort(name="http", port=80)), ready, DOMAIN) == [
        (name, "A", "10.244.2.7"),
        ("web.default.cluster.local.", "A", "10.244.2.7"),
        (f"10-244-2-7.{name}", "A", "10.244.2.7"),
        ("7.2.244.10.in-addr.arpa.", "PTR", f"10-244-2-7.{name}"),
        (name, "A", "10.244.3.2"),
        ("web.default.cluster.local.", "A", "10.244.3.2"),
        (f"10-244-3-2.{name}", "A", "10.244.3.2"),
        ("2.3.244.10.in-addr.arpa.", "PTR", f"10-244-3-2.{name}"),
        (f"_http._tcp.{name}", "SRV", f"10 10 8080 10-244-3-2.{name}"),
        (f"_http._tcp.{name}", "SRV", f"10 10 8080 10-244-2-7.{name}"),
    ]


def test_nothing_to_record() -> None:
    assert records_of(service("new", ""), None, DOMAIN) == []
    assert records_of(service("web", "None"), None, DOMAIN) == []
    assert records_of(service("web", "None"), endpoints("web", not_ready=("10.244.9.9",)), DOMAIN) == []


def test_putting_tells_what_came_and_what_went() -> None:
    records = Records()
    one, two, three = (Record("a.default.svc.cluster.local.", "A", f"10.0.0.{n}") for n in (1, 2, 3))
    assert records.put("default/a", [one, two]) == ([one, two], [])
    serial = records.serial
    assert records.put("default/a", [two, one]) == ([], [])
    assert records.serial == serial
    assert records.put("default/a", [two, three]) == ([three], [one])
    assert records.serial == serial + 1
    assert records.at("a.default.svc.cluster.local.") == {"A": ["10.0.0.2", "10.0.0.3"]}
    assert records.put("default/a", []) == ([], [two, three])
    assert records.at("a.default.svc.cluster.local.") is None


def test_a_name_exists_while_names_below_it_do() -> None:
    records = Records()
    records.put("default/redis-master", records_of(REDIS, None, DOMAIN))
    for name in ("_tcp.redis-master.default.svc.cluster.local.", "default.svc.cluster.local.", "svc.cluster.local."):
        assert records.at(name) == {}
    assert records.at("other.svc.cluster.local.") is None
    records.put("default/redis-master", [])
    assert records.at("default.svc.cluster.local.") is None
    assert records.at("cluster.local.") == {}


def test_two_services_may_share_a_name() -> None:
    records = Records()
    shared = Record("3.2.244.10.in-addr.arpa.", "PTR", "a.")
    records.put("default/a", [shared])
    records.put("default/b", [shared._replace(data="b.")])
    records.put("default/a", [])
    assert records.at(shared.name) == {"PTR": ["b."]}


def test_our_zones_are_the_domain_and_the_reverse_of_private_addresses() -> None:
    records = Records("Cluster.Local")
    records.put("default/redis-master", records_of(REDIS, None, DOMAIN))
    records.put("default/outside", [Record("8.8.8.8.in-addr.arpa.", "PTR", "8-8-8-8.outside.default.svc.")])
    assert records.zone("anything.cluster.local.") == "cluster.local."
    assert records.zone("11.0.0.10.in-addr.arpa.") == "10.in-addr.arpa."
    assert records.zone("8.8.8.8.in-addr.arpa.") == "8.8.8.8.in-addr.arpa."
    for name in ("example.com.", "notcluster.local.", "local.", ".", "9.8.8.8.in-addr.arpa.", "110.in-addr.arpa."):
        assert not records.zone(name)
