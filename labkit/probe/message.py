"""A question in DNS's wire format, and the answer read back. Source: RFC 1035 section 4, RFC 2782 (SRV)."""

import socket
import struct

from labkit.probe.asked import Data, Outcome

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33}
_NAMES = {number: name for name, number in TYPES.items()}
_OUTCOMES: tuple[Outcome, ...] = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_HEADER, _RECORD = struct.Struct("!6H"), struct.Struct("!HHIH")
_POINTERS = 64  # that a name may follow: more is a circle


class Unreadable(Exception):
    """The bytes are no answer to the question."""


def question(ident: int, name: str, kind: str) -> bytes:
    """UnicodeError or ValueError for a name that no packet can hold."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"{name}: a label has at most 63 letters, a name 253")
    asked = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack("!2H", TYPES[kind], 1)
    return _HEADER.pack(ident, 0x0100, 1, 0, 0, 0) + asked


def answers(packet: bytes, ident: int) -> bool:
    """Whether this is an answer with that id; another may be one that came too late."""
    return len(packet) >= _HEADER.size and packet[2] & 0x80 != 0 and int.from_bytes(packet[:2]) == ident


def is_truncated(packet: bytes) -> bool:
    return packet[2] & 0x02 != 0


def read(packet: bytes) -> tuple[Outcome, list[Data], int | None]:
    """The outcome, the answers, and how long a denial may be remembered (the SOA's TTL). Raises Unreadable."""
    try:
        _, flags, questions, found, authorities, _ = _HEADER.unpack_from(packet)
        at = _HEADER.size
        for _ in range(questions):
            at = _name(packet, at)[1] + 4
        records = []
        for _ in range(found + authorities):
            record, at = _record(packet, at)
            records.append(record)
        denial = next((each.ttl for each in records[found:] if each.type == "SOA"), None)
        return _OUTCOMES[flags & 0xF], records[:found], denial
    except (IndexError, struct.error, ValueError, OSError) as exc:
        raise Unreadable(str(exc)) from exc


def _record(packet: bytes, at: int) -> tuple[Data, int]:
    name, at = _name(packet, at)
    kind, _, ttl, size = _RECORD.unpack_from(packet, at)
    at += _RECORD.size
    kind_name = _NAMES.get(kind, f"TYPE{kind}")
    return Data(name=name, type=kind_name, ttl=ttl, data=_data(packet, at, size, kind_name)), at + size


def _data(packet: bytes, at: int, size: int, kind: str) -> str:
    if kind in ("A", "AAAA"):
        return socket.inet_ntop(socket.AF_INET if kind == "A" else socket.AF_INET6, packet[at : at + size])
    if kind in ("PTR", "CNAME", "NS"):
        return _name(packet, at)[0]
    if kind == "SRV":
        return "{} {} {} ".format(*struct.unpack_from("!3H", packet, at)) + _name(packet, at + 6)[0]
    return packet[at : at + size].hex()


def _name(packet: bytes, at: int) -> tuple[str, int]:
    """A name with the root's dot, and where it ends."""
    labels: list[str] = []
    end = 0
    for _ in range(_POINTERS + 128):
        size = packet[at]
        if size >= 0xC0:
            end = end or at + 2
            at = (size & 0x3F) << 8 | packet[at + 1]
        elif not size:
            return ".".join(labels) + ".", end or at + 1
        else:
            labels.append(packet[at + 1 : at + 1 + size].decode("latin-1"))
            at += 1 + size
    raise ValueError("a name without an end")
