"""Who has which number: a bit for each address of the service range, a bit for each node port.

In the store under the original's keys, /registry/ranges/serviceips and /registry/ranges/servicenodeports, as a
RangeAllocation whose data are the bits, highest first: Python's big integers are just that. Bit 0 of the addresses is
the first usable one (10.0.0.1). Source: pkg/registry/service/allocator of Kubernetes 1.0.
"""

from __future__ import annotations

import ipaddress
import itertools
import random

import msgspec

from labkit.api.types import ObjectMeta

STATIC_BAND = 256


class RangeAllocation(msgspec.Struct, kw_only=True, rename={"api_version": "apiVersion"}):
    """The stored form; `data` is base64 on the wire."""

    kind: str = "RangeAllocation"
    api_version: str = "v1"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    range: str = ""
    data: bytes = b""


class Pool:
    """A range of numbers with names: "10.0.0.11", "30080". `offset` counts from 0."""

    def __init__(self, key: str, text: str, first: int, size: int, static: int = 0) -> None:
        self.key = key
        self.text = text  # as the flag says it
        self.size = size
        self.static = static  # so many at the start are handed out last: people ask for those by name
        self._first = first

    def name(self, offset: int) -> str:
        return str(self._first + offset)

    def offset(self, name: str) -> int | None:
        """None for what is outside of the range."""
        offset = int(name) - self._first
        return offset if 0 <= offset < self.size else None

    def decode(self, value: bytes) -> int:
        """The bits of a stored RangeAllocation."""
        allocation: RangeAllocation = msgspec.json.decode(value, type=RangeAllocation)
        return int.from_bytes(allocation.data, "big")

    def encode(self, bits: int) -> bytes:
        data = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
        return msgspec.json.encode(RangeAllocation(range=self.text, data=data))

    def free(self, bits: int) -> int | None:
        """A free offset, at random, from the static band only when the rest is full; None when all are taken."""
        for low, high in ((self.static, self.size), (0, self.static)):
            if low < high:
                start = random.randrange(low, high)
                for offset in itertools.chain(range(start, high), range(low, start)):
                    if not bits >> offset & 1:
                        return offset
        return None


class Addresses(Pool):
    """The usable addresses of a network: all but its first and last."""

    def __init__(self, text: str) -> None:
        network = ipaddress.IPv4Network(text)
        size = network.num_addresses - 2
        static = min(max(16, network.num_addresses // 16), STATIC_BAND, size // 2)
        super().__init__("/registry/ranges/serviceips", text, int(network.network_address) + 1, size, static)

    def name(self, offset: int) -> str:
        return str(ipaddress.IPv4Address(int(super().name(offset))))

    def offset(self, name: str) -> int | None:
        return super().offset(str(int(ipaddress.IPv4Address(name))))


class Ports(Pool):
    """`30000-32767`, both ends included."""

    def __init__(self, text: str) -> None:
        first, _, last = text.partition("-")
        super().__init__("/registry/ranges/servicenodeports", text, int(first), int(last) - int(first) + 1)
