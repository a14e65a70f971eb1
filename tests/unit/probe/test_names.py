"""The order in which a resolver tries names, and DNS messages read back, with dnslib as the second opinion."""

import pytest
from dnslib import QTYPE, RR, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.probe import message
from labkit.probe.asked import Data
from labkit.probe.resolver import names_to_try, read_conf

SEARCH = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]


@pytest.mark.parametrize(
    ("name", "ndots", "expected"),
    [
        (
            "redis",
            5,
            ["redis.default.svc.cluster.local.", "redis.svc.cluster.local.", "redis.cluster.local.", "redis."],
        ),
        ("redis.", 5, ["redis."]),
        ("a.b", 1, ["a.b.", "a.b.default.svc.cluster.local.", "a.b.svc.cluster.local.", "a.b.cluster.local."]),
        ("a.b", 2, ["a.b.default.svc.cluster.local.", "a.b.svc.cluster.local.", "a.b.cluster.local.", "a.b."]),
    ],
)
def test_the_search_list_and_ndots(name: str, ndots: int, expected: list[str]) -> None:
    assert names_to_try(name, SEARCH, ndots) == expected


def test_without_a_search_list() -> None:
    assert names_to_try("redis", [], 1) == ["redis."]


def test_a_resolv_conf() -> None:
    read = read_conf(
        "# by the kubelet\nsearch a\nnameserver 10.0.0.10 # kube-dns\nsearch b c\noptions ndots:5 timeout:1\n"
    )
    assert (read.nameservers, read.searches, read.ndots) == (["10.0.0.10"], ["b", "c"], 5)
    assert read.options == ["ndots:5", "timeout:1"]
    empty = read_conf("")
    assert (empty.nameservers, empty.searches, empty.ndots) == (["127.0.0.1"], [], 1)


def test_a_question_is_one_that_others_read() -> None:
    asked = DNSRecord.parse(message.question(7, "_redis._tcp.redis.default.svc.cluster.local.", "SRV"))
    assert (asked.header.id, asked.header.rd, str(asked.q.qname)) == (
        7,
        1,
        "_redis._tcp.redis.default.svc.cluster.local.",
    )
    assert QTYPE[asked.q.qtype] == "SRV"


@pytest.mark.parametrize("name", ["a" * 64, ".".join(["a" * 60] * 5), "größe.cluster.local"])
def test_a_name_that_no_packet_can_hold(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        message.question(1, name, "A")


def test_answers_are_read() -> None:
    reply = DNSRecord.question("redis.default", "ANY").reply()
    for data in ("A 10.0.0.11", "AAAA fd00::1", "SRV 10 10 6379 other.default.", "PTR other.default.", "TXT hello"):
        reply.add_answer(*RR.fromZone(f"redis.default. 30 {data}"))
    reply.add_auth(*RR.fromZone("default. 5 SOA ns. mail. 1 2 3 4 5"))
    outcome, records, remembered = message.read(reply.pack())
    assert (outcome, remembered) == ("NOERROR", 5)
    assert [each.data for each in records] == [
        "10.0.0.11", "fd00::1", "10 10 6379 other.default.", "other.default.", b"\5hello".hex()
    ]  # fmt: skip
    assert records[0] == Data(name="redis.default.", type="A", ttl=30, data="10.0.0.11")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_survived(noise: bytes) -> None:
    head = b"\0\7\x80\0\0\1\0\2\0\1\0\0"
    for packet in (noise, head + noise, head + b"\xc0\x0c" + noise):
        try:
            message.read(packet)
        except message.Unreadable:
            pass
