"""From a packet to a packet: the wire format of DNS around `answer`.

    +----------+------------------------------+----------------------------+---------------------------+-----------+
    | header   | question                     | answers                    | authority                 | additional|
    | id flags | 12 redis-master 7 default .. | C00C type class ttl length | the zone's SOA, if denied | SRV's A,  |
    | 4 counts | 0 type class                 | data                       |                           | EDNS      |
    +----------+------------------------------+----------------------------+---------------------------+-----------+

A label is its length and its bytes, a name ends with length 0, and C00C points to the name at byte 12: the question's.
The question is handed back byte by byte, in the spelling in which it came. What cannot be read is answered FORMERR if
it has a header, and ignored if it is an answer itself: two servers must not talk to each other for ever.
Source: RFC 1035 section 4, RFC 2782 (SRV), RFC 6891 (EDNS).
"""

import socket
import struct
from typing import NamedTuple

from labkit.components.kube_dns.answer import NEGATIVE_TTL, TTL, Answer, Question, answer, soa
from labkit.components.kube_dns.records import Record, Records

PLAIN_BYTES = 512  # what a client without EDNS takes over UDP
OUR_BYTES = 1232  # what we send over UDP at most: no fragments on any network
TCP_BYTES = 65535

TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "IXFR": 251,
    "AXFR": 252,
    "ANY": 255,
}
_NAMES = {number: name for name, number in TYPES.items()}
_RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5, "BADVERS": 16}

_HEADER = struct.Struct("!HHHHHH")  # id, flags, and how many questions, answers, authorities, additional records
_QR, _OPCODE, _AA, _TC, _RD = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100
_IN, _OPT = 1, 41
_TO_QUESTION = b"\xc0\x0c"


class Malformed(ValueError):
    """A packet that is not a question."""


class Query(NamedTuple):
    """What a client sent. edns_bytes: what it takes over UDP, 0 without EDNS."""

    ident: int
    flags: int
    question: Question
    in_class: bool
    raw: bytes
    edns_bytes: int = 0
    edns_version: int = 0


def respond(packet: bytes, records: Records | None, *, tcp: bool = False) -> bytes | None:
    """The answer to a packet, None for one that gets none. Never raises, whatever the packet."""
    if len(packet) < _HEADER.size or packet[2] & 0x80:
        return None
    ident, flags, *_ = _HEADER.unpack_from(packet)
    if flags & _OPCODE:
        return _bare(ident, flags, "NOTIMP")
    try:
        query = parse(packet)
    except Malformed:
        return _bare(ident, flags, "FORMERR")
    if query.edns_version:
        return pack(query, Answer("BADVERS"), records, TCP_BYTES)
    reply = answer(query.question, records) if query.in_class else Answer("REFUSED")
    limit = TCP_BYTES if tcp else min(max(query.edns_bytes, PLAIN_BYTES), OUR_BYTES)
    return pack(query, reply, records, limit)


def is_outside(packet: bytes, records: Records) -> bool:
    """Whether a packet asks for a name with a dot in no zone of ours: what forwarders, if there are any, are asked."""
    if len(packet) < _HEADER.size or packet[2] & 0xF8:
        return False
    try:
        query = parse(packet)
    except Malformed:
        return False
    kind, name = query.question.type, query.question.name
    return query.in_class and kind not in ("AXFR", "IXFR") and "." in name[:-1] and not records.zone(name)


def servfail(packet: bytes) -> bytes:
    """ "Somebody should know, but I could not find out", to a question that can be read."""
    return pack(parse(packet), Answer("SERVFAIL"), None, TCP_BYTES)


def is_formerr(packet: bytes) -> bool:
    return packet[3] & 0xF == _RCODES["FORMERR"]


def same_question(answer: bytes, asked: bytes) -> bool:
    """Whether a packet answers a question that was sent: the same id, and the question in the same spelling."""
    end = _read_name(asked, _HEADER.size)[1] + 4
    return len(answer) >= end and answer[2] & 0x80 != 0 and (answer[:2], answer[12:end]) == (asked[:2], asked[12:end])


def parse(packet: bytes) -> Query:
    """The one question of a packet; Malformed for anything else."""
    ident, flags, questions, answers, authority, additional = _HEADER.unpack_from(packet)
    if questions != 1 or answers or authority:
        raise Malformed("expected one question and nothing else")
    name, end = _read_name(packet, _HEADER.size)
    if len(packet) < end + 4:
        raise Malformed("the question has no type or class")
    kind, in_class = struct.unpack_from("!HH", packet, end)
    question = Question(name, _NAMES.get(kind, f"TYPE{kind}"))
    query = Query(ident, flags, question, in_class == _IN, packet[_HEADER.size : end + 4])
    return _with_edns(query, packet, end + 4) if additional else query


def pack(query: Query, reply: Answer, records: Records | None, limit: int) -> bytes:
    """The packet that says `reply`; only its header and question, marked truncated, when it would exceed `limit`."""
    rcode = _RCODES[reply.rcode]
    edns = [struct.pack("!BHHBBHH", 0, _OPT, OUR_BYTES, rcode >> 4, 0, 0, 0)] if query.edns_bytes else []
    found = [_resource(record, query.question.name) for record in reply.answers]
    denied = [_denial(records, reply.denied)] if reply.denied and records else []
    extra = [_resource(record, query.question.name) for record in reply.additional]
    flags = _QR | query.flags & _RD | (rcode & 0xF) | (_AA if reply.rcode in ("NOERROR", "NXDOMAIN") else 0)
    header = _HEADER.pack(query.ident, flags, 1, len(found), len(denied), len(extra) + len(edns))
    packet = b"".join((header, query.raw, *found, *denied, *extra, *edns))
    if len(packet) <= limit:
        return packet
    return b"".join((_HEADER.pack(query.ident, flags | _TC, 1, 0, 0, len(edns)), query.raw, *edns))


def _bare(ident: int, flags: int, rcode: str) -> bytes:
    return _HEADER.pack(ident, _QR | flags & (_OPCODE | _RD) | _RCODES[rcode], 0, 0, 0, 0)


# -- reading -------------------------------------------------------------------------------------------------------


def _read_name(packet: bytes, start: int) -> tuple[str, int]:
    """A name in lower case with the root's dot, and where it ends. A question has nothing before it to point to."""
    labels: list[str] = []
    at = start
    while True:
        size = packet[at] if at < len(packet) else 64
        if size > 63 or at + size >= len(packet) or at + size - start > 254:
            raise Malformed(f"no name at byte {start}")
        at += 1 + size
        if not size:
            return ".".join(labels) + ".", at
        # A dot within a label is no separator: written \. it matches none of our names.
        labels.append(packet[at - size : at].decode("latin-1").lower().replace(".", "\\."))


def _with_edns(query: Query, packet: bytes, start: int) -> Query:
    """The query with what its OPT record says, if that is the first additional record, as all resolvers send it."""
    if len(packet) < start + 11:
        raise Malformed("an additional record is cut off")
    root, kind, size, _, version, _, length = struct.unpack_from("!BHHBBHH", packet, start)
    if root or kind != _OPT:
        return query
    if len(packet) < start + 11 + length:
        raise Malformed("the options of EDNS are cut off")
    return query._replace(edns_bytes=max(size, PLAIN_BYTES), edns_version=version)


# -- writing -------------------------------------------------------------------------------------------------------


def _resource(record: Record, asked: str, ttl: int = TTL) -> bytes:
    owner = _TO_QUESTION if record.name == asked else _name(record.name)
    data = _WRITERS[record.type](record.data)
    return owner + struct.pack("!HHIH", TYPES[record.type], _IN, ttl, len(data)) + data


def _denial(records: Records, zone: str) -> bytes:
    return _resource(Record(zone, "SOA", soa(records)), "", NEGATIVE_TTL)


def _name(text: str) -> bytes:
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _srv(data: str) -> bytes:
    priority, weight, port, target = data.split()
    return struct.pack("!HHH", int(priority), int(weight), int(port)) + _name(target)


def _soa(data: str) -> bytes:
    primary, mailbox, *numbers = data.split()
    return _name(primary) + _name(mailbox) + struct.pack("!5I", *map(int, numbers))


_WRITERS = {"A": socket.inet_aton, "PTR": _name, "SRV": _srv, "SOA": _soa}
