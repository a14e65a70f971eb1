"""`labkit dns`: what is told and drawn of what a probe saw, and each fault by what is missing."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from labkit.api.types import ObjectMeta, Service, ServicePort, ServiceSpec
from labkit.observe import lookup, name_faults, name_picture
from labkit.observe.ends import From, Unclear, parse_asker
from labkit.observe.lookup import Evidence, Lookup, as_json
from labkit.observe.objects import Objects, Refused
from labkit.probe.asked import Asked, Data, NameReport, Outcome
from tests.unit.observe import endpoints, lab, objects, pod

DNS = "10.0.0.10:53"
SEARCH = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
REDIS = "redis-master.default.svc.cluster.local."


def known() -> Objects:
    """The lab's objects and the cluster's DNS."""
    made = objects()
    meta = ObjectMeta(name="kube-dns", namespace="kube-system")
    port = ServicePort(name="dns", port=53, protocol="UDP")
    leads = endpoints("kube-dns", 53, "10.245.1.11")
    leads.metadata.namespace = "kube-system"
    made.services.append(Service(metadata=meta, spec=ServiceSpec(cluster_ip="10.0.0.10", ports=[port])))
    made.endpoints.append(leads)
    return made


def asked(name: str, outcome: Outcome, *data: str, kind: str = "A", server: str = DNS) -> Asked:
    records = [Data(name=name, type=kind, ttl=30, data=each) for each in data]
    remembered = 5 if outcome in ("NXDOMAIN", "NOERROR") and not data else None
    return Asked(
        name=name, type=kind, server=server, outcome=outcome, records=records, remembered=remembered, milliseconds=0.8
    )


def report(name: str, *steps: Asked, **more: Any) -> NameReport:
    names = [f"{name}.{each}." for each in SEARCH] + [f"{name}."]
    way: dict[str, Any] = {"proxy_mode": "userspace", "rules": 4} | more
    return NameReport(
        nameservers=["10.0.0.10"], searches=SEARCH, options=["ndots:5"], ndots=5, names=names, asked=list(steps), **way
    )


def told(name: str, seen: NameReport, found: Objects | None = None, kind: str = "A", asker: str = "client") -> Lookup:
    there = found or known()
    evidence = Evidence(lookup.place(parse_asker(asker), name, kind, there, lab()), seen, there)
    return lookup.tell(evidence, name_faults.find(evidence, lab()))


def denied(name: str, *, at_last: Outcome = "NXDOMAIN") -> NameReport:
    steps = [asked(f"{name}.{each}.", "NXDOMAIN") for each in SEARCH]
    return report(name, *steps, asked(f"{name}.", at_last))


def fault(name: str, seen: NameReport, **more: Any) -> str:
    return "\n".join(each.text for each in told(name, seen, **more).faults)


def drawn(seen: Lookup, *, terminal: bool) -> str:
    out = io.StringIO()
    colour: Any = "truecolor" if terminal else None
    console = Console(file=out, force_terminal=terminal, color_system=colour, width=200)
    name_picture.draw(seen, console)
    return out.getvalue()


def test_the_picture_of_a_name_that_is_found_at_the_first_try() -> None:
    seen = told("redis-master", report("redis-master", asked(REDIS, "NOERROR", "10.0.0.11")))
    assert drawn(seen, terminal=False) == (
        "redis-master A, asked for by pod default/client on agent1\n"
        "  search      default.svc.cluster.local svc.cluster.local cluster.local\n"
        "  nameserver  10.0.0.10:53 = service kube-system/kube-dns, behind it 10.245.1.11\n"
        "  options     ndots:5\n"
        "  0 dots, fewer than ndots:5: first with each word of the search list, then as it is\n"
        "\n"
        f"1 {REDIS} A → 10.0.0.10:53\n"
        "  ← NOERROR 0.8 ms  \n"
        f"    {REDIS} 30 A 10.0.0.11\n"
        "· redis-master.svc.cluster.local. was not asked for any more\n"
        "· redis-master.cluster.local. was not asked for any more\n"
        "· redis-master. was not asked for any more\n"
        "\n"
        "✓ redis-master is 10.0.0.11, the service default/redis-master\n"
    )
    assert seen.well
    assert msgspec.json.decode(as_json(seen), type=Lookup) == seen


def test_colours_only_where_there_are_any() -> None:
    seen = told("nope", denied("nope"))
    for terminal in (True, False):
        assert ("\x1b[" in drawn(seen, terminal=terminal)) is terminal


def test_a_typo_and_a_wrong_namespace() -> None:
    assert "did you mean redis-master?" in fault("redis-mastr", denied("redis-mastr"))
    assert "in namespace defualt, but one in default" in fault("redis-master.defualt", denied("redis-master.defualt"))
    assert "but one in kube-system" in fault("kube-dns", denied("kube-dns"))
    assert not told("nope", denied("nope")).well


def test_a_record_that_should_be_there() -> None:
    assert "exists, but kube-dns has no record of it" in fault("redis-master", denied("redis-master"))


def test_a_headless_service_that_nothing_is_ready_for() -> None:
    there = known()
    redis = next(each for each in there.services if each.metadata.name == "redis-master")
    redis.spec.cluster_ip = "None"
    assert "headless" in fault("redis-master", denied("redis-master"), found=there)


def test_a_name_outside() -> None:
    seen = denied("www.example.com", at_last="REFUSED")
    assert "kube-dns asks nobody outside" in fault("www.example.com", seen)


def test_a_type_that_the_name_does_not_have() -> None:
    seen = report("redis-master", asked(REDIS, "NOERROR", kind="AAAA"), asked("redis-master.", "NXDOMAIN", kind="AAAA"))
    assert fault("redis-master", seen, kind="AAAA") == f"{REDIS} exists, but has no AAAA record"


def silent(outcome: Outcome = "silent", direct: Outcome = "NOERROR", **more: Any) -> NameReport:
    return report("redis-master", asked(REDIS, outcome), direct=[asked(REDIS, direct, server="10.245.1.11:53")], **more)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (silent(direct="nobody listens"), "kube-dns does not answer at 10.245.1.11:53 either (nobody listens)"),
        (silent(proxy_mode="", rules=0), "kube-proxy is not running on agent1: no rule names 10.0.0.10"),
        (silent(proxy_mode="", rules=3), "kube-proxy is not running on agent1: 3 rules that it left still name"),
        (
            silent(proxy_mode="nftables", rules=0),
            "no rule on agent1 names 10.0.0.10 (kube-proxy runs in nftables mode)",
        ),
        (silent(route_trouble="Network is unreachable"), "agent1 has no route for 10.0.0.10: Network is unreachable"),
        (silent(), "kube-dns answers at 10.245.1.11:53, but not by way of its service 10.0.0.10"),
        (report("x", asked(REDIS, "SERVFAIL")), "kube-dns has not read the services yet"),
        (
            NameReport(trouble="docker runs no container of pod default/client on this machine"),
            "agent1: docker runs no",
        ),
    ],
)
def test_what_is_missing_on_the_way(seen: NameReport, expected: str) -> None:
    assert fault("redis-master", seen).startswith(expected)


def test_the_service_of_the_dns_itself() -> None:
    there = known()
    there.endpoints.pop()
    assert (
        fault("redis-master", silent(), found=there)
        == "service kube-system/kube-dns has no endpoints: it leads to nobody"
    )
    there.services.pop()
    assert fault("redis-master", silent(), found=there).startswith("there is no service kube-system/kube-dns")


def test_a_pod_that_asks_its_machines_nameserver() -> None:
    there = known()
    there.pods[0].spec.dns_policy = "Default"
    seen = msgspec.structs.replace(denied("redis-master"), nameservers=["192.0.2.1"])
    assert fault("redis-master", seen, found=there).startswith("the pod has dnsPolicy: Default")


@pytest.mark.parametrize(
    ("name", "ndots", "expected"),
    [
        ("redis.", 5, "it ends with a dot"),
        ("a.b", 5, "1 dot, fewer than ndots:5"),
        ("a.b", 1, "1 dot, not fewer than ndots:1: first as it is"),
    ],
)
def test_the_order_is_explained(name: str, ndots: int, expected: str) -> None:
    seen = msgspec.structs.replace(denied(name), ndots=ndots)
    assert told(name, seen).order.startswith(expected)


def test_an_address_is_asked_for_by_its_reverse_name() -> None:
    place = lookup.place(parse_asker("node/agent1"), "10.0.0.11", "A", known(), lab())
    assert (place.name, place.type, place.machine.name) == ("11.0.0.10.in-addr.arpa.", "PTR", "agent1")


@pytest.mark.parametrize(
    ("asker", "name", "kind", "expected"),
    [
        ("host", "redis-master", "A", "nothing was sent. Ask from one: labkit dns redis-master --from node/agent1"),
        ("cleint", "redis-master", "A", "did you mean client?"),
        ("waiting", "redis-master", "A", "is Pending"),
        ("client", "redis-master", "AX", "expected one of A, NS"),
        ("client", "a..b", "A", "is no name"),
        ("client", ".", "A", "is no name"),
        ("client", "a" * 64, "A", "is no name"),
    ],
)
def test_what_cannot_be_asked_is_refused(asker: str, name: str, kind: str, expected: str) -> None:
    with pytest.raises(Refused, match=r".+") as refused:
        lookup.place(parse_asker(asker), name, kind, known(), lab())
    assert expected in str(refused.value)


def test_who_asks() -> None:
    for text in ("client", "default/client", "pod/client", "pod/default/client"):
        assert parse_asker(text) == From("pod", "client")
    assert parse_asker("node/agent1") == From("node", "agent1")
    for text in ("", "Pod!", "node/a/b", "a/b/c"):
        with pytest.raises(Unclear):
            parse_asker(text)


def test_a_pod_may_be_called_node() -> None:
    there = Objects([pod("nodes", "agent1", "10.244.2.9")])
    assert lookup.place(parse_asker("pod/nodes"), "x", "A", there, lab()).namespace == "default"
