"""Packets, made and read by dnslib: a second opinion on the format."""

import struct

import pytest
from dnslib import CLASS, EDNS0, QTYPE, RCODE, DNSRecord

from labkit.api.types import EndpointPort, ServicePort
from labkit.components.kube_dns.records import Records, records_of
from labkit.components.kube_dns.wire import OUR_BYTES, is_outside, respond
from tests.unit.components.kube_dns.test_records import DOMAIN, REDIS, endpoints, service

NAME = "redis-master.default.svc.cluster.local"


def table() -> Records:
    made = Records()
    made.put("default/redis-master", records_of(REDIS, None, DOMAIN))
    many = service("many", "None", ServicePort(name="http", port=80))
    ips = [f"10.244.2.{n}" for n in range(2, 102)]
    made.put("default/many", records_of(many, endpoints("many", *ips, ports=(EndpointPort(port=80),)), DOMAIN))
    return made


RECORDS = table()


def ask(name: str, kind: str = "A", *, edns: int = 0, tcp: bool = False) -> DNSRecord:
    question = DNSRecord.question(name, kind)
    if edns:
        question.add_ar(EDNS0(udp_len=edns))
    reply = respond(question.pack(), RECORDS, tcp=tcp)
    assert reply is not None
    parsed = DNSRecord.parse(reply)
    assert parsed.header.id == question.header.id
    assert parsed.header.qr
    assert parsed.q == question.q
    return parsed


def said(reply: DNSRecord) -> tuple[str, list[str], list[str]]:
    return RCODE[reply.header.rcode], [str(rr.rdata) for rr in reply.rr], [QTYPE[rr.rtype] for rr in reply.auth]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (NAME, "A", ("NOERROR", ["10.0.0.11"], [])),
        (NAME, "AAAA", ("NOERROR", [], ["SOA"])),
        (f"_redis._tcp.{NAME}", "SRV", ("NOERROR", [f"10 10 6379 {NAME}."], [])),
        ("11.0.0.10.in-addr.arpa", "PTR", ("NOERROR", [f"{NAME}."], [])),
        ("nope.default.svc.cluster.local", "A", ("NXDOMAIN", [], ["SOA"])),
        ("www.example.com", "A", ("REFUSED", [], [])),
        (NAME, "TXT", ("NOERROR", [], ["SOA"])),
    ],
)
def test_answers_over_the_wire(name: str, kind: str, expected: object) -> None:
    assert said(ask(name, kind)) == expected


def test_ttls_and_flags() -> None:
    found, denied, refused = ask(NAME), ask("nope.cluster.local"), ask("example.com")
    assert [found.rr[0].ttl, denied.auth[0].ttl] == [30, 5]
    assert [each.header.aa for each in (found, denied, refused)] == [1, 1, 0]
    assert [each.header.ra for each in (found, denied, refused)] == [0, 0, 0]
    assert found.header.rd


def test_the_question_comes_back_in_its_spelling() -> None:
    reply = ask("Redis-MASTER.default.svc.cluster.local")
    assert reply.q.qname.label[0] == b"Redis-MASTER"
    assert str(reply.rr[0].rdata) == "10.0.0.11"


def test_soa_is_readable() -> None:
    (soa,) = ask("cluster.local", "SOA").rr
    assert str(soa.rdata.mname) == "ns.dns.cluster.local."
    assert soa.rdata.times[0] == RECORDS.serial


def test_edns_is_answered_with_edns_only() -> None:
    assert ask(NAME).ar == []
    (opt,) = ask(NAME, edns=4096).ar
    assert (opt.edns_ver, opt.edns_len) == (0, OUR_BYTES)


def test_an_unknown_edns_version_is_named() -> None:
    question = DNSRecord.question(NAME)
    question.add_ar(EDNS0(udp_len=4096, version=1))
    reply = DNSRecord.parse(respond(question.pack(), RECORDS) or b"")
    assert reply.ar[0].edns_rcode << 4 | reply.header.rcode == 16


def test_what_does_not_fit_is_truncated_and_fits_over_tcp() -> None:
    name = "many.default.svc.cluster.local"
    for edns in (0, 1232, 65000):
        reply = ask(name, edns=edns)
        assert reply.header.tc
        assert reply.rr == []
    whole = ask(name, tcp=True)
    assert not whole.header.tc
    assert len(whole.rr) == 100


def test_the_soa_of_a_denial_is_the_one_of_its_zone() -> None:
    denied = {name: str(ask(name, "PTR").auth[0].rname) for name in ("a.cluster.local", "12.0.0.10.in-addr.arpa")}
    assert denied == {"a.cluster.local": "cluster.local.", "12.0.0.10.in-addr.arpa": "10.in-addr.arpa."}


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_no_zone_is_handed_out(kind: str) -> None:
    for tcp in (False, True):
        assert said(ask("cluster.local", kind, tcp=tcp)) == ("REFUSED", [], [])


def test_any_is_answered_with_one_type() -> None:
    assert said(ask("cluster.local", "ANY"))[0] == "NOERROR"
    assert said(ask(NAME, "ANY")) == ("NOERROR", ["10.0.0.11"], [])


@pytest.mark.parametrize(
    ("name", "kind", "outside"),
    [
        ("www.example.com", "A", True),
        ("www.example.com", "AXFR", False),
        ("example", "A", False),
        ("", "NS", False),
        ("nope.cluster.local", "A", False),
        ("9.9.9.10.in-addr.arpa", "PTR", False),
        ("8.8.8.8.in-addr.arpa", "PTR", True),
    ],
)
def test_what_forwarders_are_asked(name: str, kind: str, outside: bool) -> None:
    assert is_outside(DNSRecord.question(name, kind).pack(), RECORDS) is outside


def test_forwarders_are_asked_nothing_that_is_no_plain_question() -> None:
    packet = bytearray(DNSRecord.question("www.example.com").pack())
    assert is_outside(bytes(packet), RECORDS)
    for damaged in (packet[:11], packet[:-1], packet[:2] + b"\x80" + packet[3:], packet[:2] + b"\x28" + packet[3:]):
        assert not is_outside(bytes(damaged), RECORDS)


def test_srv_brings_addresses_along() -> None:
    reply = ask(f"_redis._tcp.{NAME}", "SRV")
    assert [str(rr.rdata) for rr in reply.ar] == ["10.0.0.11"]


def test_other_classes_and_operations() -> None:
    chaos = DNSRecord.question("version.bind", "TXT")
    chaos.q.qclass = CLASS.reverse["CH"]
    assert RCODE[DNSRecord.parse(respond(chaos.pack(), RECORDS) or b"").header.rcode] == "REFUSED"
    update = DNSRecord.question(NAME)
    update.header.opcode = 5
    assert RCODE[DNSRecord.parse(respond(update.pack(), RECORDS) or b"").header.rcode] == "NOTIMP"


def header(questions: int = 1, flags: int = 0x0100) -> bytes:
    return struct.pack("!HHHHHH", 7, flags, questions, 0, 0, 0)


@pytest.mark.parametrize(
    "packet",
    [
        header(),
        header(0),
        header(2) + b"\1a\0\0\1\0\1\1b\0\0\1\0\1",
        header() + b"\1a\0\0\1",
        header() + b"\xc0\x0c\0\1\0\1",
        header() + b"\x40a\0\0\1\0\1",
        header()[:11] + b"\1" + b"\1a\0\0\1\0\1" + b"\0\0\x29\4\xd0\0\0\0\0\0\4ab",
        header() + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        DNSRecord.question(NAME).pack()[:-3],
        DNSRecord.question(NAME).pack()[:11] + b"\1" + DNSRecord.question(NAME).pack()[12:],
    ],
)
def test_a_malformed_packet_is_told_so(packet: bytes) -> None:
    reply = respond(packet, RECORDS)
    assert reply is not None
    assert (reply[:2], reply[3] & 0xF) == (packet[:2], 1)


@pytest.mark.parametrize("packet", [b"", b"\0", header()[:11], header(flags=0x8000)])
def test_an_answer_or_less_than_a_header_is_ignored(packet: bytes) -> None:
    assert respond(packet, RECORDS) is None


def test_a_dot_within_a_label_is_no_separator() -> None:
    packet = header() + b"\x14redis-master.default\3svc\7cluster\5local\0\0\1\0\1"
    assert said(DNSRecord.parse(respond(packet, RECORDS) or b""))[0] == "NXDOMAIN"
