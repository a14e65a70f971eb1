"""How a table says what a field of a protobuf message is in JSON."""

from typing import NamedTuple


class Field(NamedTuple):
    """name: as in JSON. type: string, bytes, base64 (bytes that JSON writes so), bool, int, time, quantity,
    int-or-string, or the name of another message."""

    name: str
    type: str = "string"
    is_list: bool = False
    is_map: bool = False
    is_inline: bool = False  # its members are members of the message that it is in
    keeps_zero: bool = False  # a pointer in Go: 0 is not the same as absent


def listed(name: str, of: str = "string") -> Field:
    return Field(name, of, is_list=True)


def mapped(name: str, entry: str = "StringEntry") -> Field:
    return Field(name, entry, is_map=True)


def inline(of: str) -> Field:
    return Field("", of, is_inline=True)
