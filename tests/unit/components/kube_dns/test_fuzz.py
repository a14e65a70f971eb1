"""Packets of every kind: whatever comes, it is answered or dropped, and an answer can be read."""

import random

from dnslib import EDNS0, DNSRecord
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labkit.components.kube_dns.wire import OUR_BYTES, is_formerr, is_outside, respond, same_question, servfail
from labkit.probe.message import read
from tests.unit.components.kube_dns.test_wire import NAME, RECORDS

HEADER_BYTES = 12
_LABEL = st.binary(min_size=0, max_size=70).map(lambda label: bytes([len(label) & 0xFF]) + label)
_KNOWN = st.sampled_from(
    [b"redis-master", b"web", b"default", b"svc", b"cluster", b"local", b"10", b"in-addr", b"arpa"]
)
_NAME = st.lists(st.one_of(_LABEL, _KNOWN.map(lambda label: bytes([len(label)]) + label)), max_size=12).map(b"".join)
_SMALL = st.integers(0, 3).map(lambda number: number.to_bytes(2))
_HEADER = st.tuples(st.binary(min_size=4, max_size=4), _SMALL, _SMALL, _SMALL, _SMALL).map(b"".join)
_QUESTION = st.tuples(_NAME, st.sampled_from([b"\0", b"", b"\xc0\x0c"]), st.binary(max_size=6)).map(b"".join)
_OPT = st.binary(max_size=40).map(lambda rest: b"\0\0\x29" + rest)
PACKETS = st.one_of(
    st.binary(max_size=600),
    st.tuples(_HEADER, _QUESTION, st.one_of(st.binary(max_size=30), _OPT)).map(b"".join),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PACKETS, st.booleans())
@example(b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", False)  # a name that points to itself
@example(b"\0\1\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\0\0\x29\xff\xff\0\1\0\0\0\0", True)  # EDNS of a version to come
def test_whatever_comes_is_answered_or_dropped(packet: bytes, tcp: bool) -> None:
    is_answered_or_dropped(packet, tcp)


def is_answered_or_dropped(packet: bytes, tcp: bool) -> None:
    for records in (RECORDS, None):
        reply = respond(packet, records, tcp=tcp)
        if len(packet) < HEADER_BYTES or packet[2] & 0x80:
            assert reply is None, "answers are not answered"
            continue
        assert reply is not None
        assert reply[:2] == packet[:2]
        assert reply[2] & 0x80
        assert tcp or len(reply) <= OUR_BYTES
        read(reply)
        assert is_formerr(reply) or reply[3] & 0xF in (0, 2, 3, 4, 5)


@settings(max_examples=200, deadline=None)
@given(PACKETS)
def test_what_forwarders_would_be_asked_can_be_answered(packet: bytes) -> None:
    if is_outside(packet, RECORDS):
        reply = servfail(packet)
        assert same_question(reply, packet)


@settings(max_examples=200, deadline=None)
@given(PACKETS, st.integers(0, 40), st.binary(min_size=1, max_size=4))
def test_an_answer_that_was_tampered_with_is_no_crash(packet: bytes, place: int, noise: bytes) -> None:
    """What an upstream sends back, cut and overwritten anywhere."""
    asked = DNSRecord.question("www.example.com").pack()
    answer = packet[:2] + asked[2:]
    same_question(answer[:place] + noise + answer[place + len(noise) :], asked)
    same_question(answer[:place], asked)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_damaged_questions_are_survived(seed: int, damages: int) -> None:
    dice = random.Random(seed)
    question = DNSRecord.question(NAME)
    question.add_ar(EDNS0(udp_len=1232))
    packet = bytearray(question.pack())
    for _ in range(damages):
        packet[dice.randrange(len(packet))] = dice.randrange(256)
    is_answered_or_dropped(bytes(packet), False)
