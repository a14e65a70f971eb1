"""Has anybody written rules since we did? The kernel counts the transactions of each network namespace.

One message to the kernel, one back (NFT_MSG_GETGEN, microseconds), where reading 100,000 rules takes seconds. It counts
what nft and iptables-nft write; iptables-legacy writes past it, then there is no number to rely on.
Source: include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h.
"""

import socket
import struct

_NETLINK_NETFILTER = 12
_GETGEN = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_REQUEST = 1
_GEN_ID = 1  # NFTA_GEN_ID, a big-endian u32
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_FAMILY = struct.pack("BBH", 0, 0, 0)  # struct nfgenmsg


def generation() -> int | None:
    """The number of the last transaction; None when the kernel does not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
            sock.settimeout(1)
            sock.send(_HEADER.pack(_HEADER.size + len(_FAMILY), _GETGEN, _REQUEST, 0, 0) + _FAMILY)
            return parse(sock.recv(1 << 12))
    except OSError:
        return None


def parse(answer: bytes) -> int | None:
    """The attribute GEN_ID of the kernel's answer."""
    place = _HEADER.size + len(_FAMILY)
    while place + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, place)
        if kind == _GEN_ID and length == 8:
            return int.from_bytes(answer[place + 4 : place + 8], "big")
        place += max(4, (length + 3) & ~3)
    return None
