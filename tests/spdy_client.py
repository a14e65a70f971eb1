"""kubectl's end of SPDY/3.1: opens streams, writes, and keeps what arrives on each until its FIN."""

import struct
import zlib
from collections import defaultdict

from labkit.components.kubelet.spdy import (
    DATA,
    FIN,
    PING,
    RST_STREAM,
    SYN_REPLY,
    SYN_STREAM,
    Pipe,
    control_frame,
    data_frame,
    frames,
    pack_headers,
)  # fmt: skip
from labkit.components.kubelet.spdy_dictionary import DICTIONARY


class SpdyClient:
    """`run()` has to be running."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.received: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.replied: list[int] = []
        self.ended: set[int] = set()
        self.reset: set[int] = set()
        self.pongs: list[bytes] = []
        self.closed = False
        self._pack = zlib.compressobj(zdict=DICTIONARY)
        self._next = 1

    async def open(self, **headers: str) -> int:
        number, self._next = self._next, self._next + 2
        block = self._pack.compress(pack_headers(headers)) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        await self.pipe.write(control_frame(SYN_STREAM, struct.pack(">IIBB", number, 0, 0, 0) + block))
        return number

    async def write(self, number: int, data: bytes, *, last: bool = False) -> None:
        await self.pipe.write(data_frame(number, data, FIN if last else 0))

    async def run(self) -> None:
        try:
            async for frame in frames(self.pipe):
                if frame.kind == DATA:
                    self.received[frame.stream] += frame.body
                    if frame.flags & FIN:
                        self.ended.add(frame.stream)
                elif frame.kind == SYN_REPLY:
                    self.replied.append(struct.unpack_from(">I", frame.body)[0])
                elif frame.kind == RST_STREAM:
                    self.reset.add(struct.unpack_from(">I", frame.body)[0])
                elif frame.kind == PING:
                    self.pongs.append(frame.body)
        except OSError:
            pass
        self.closed = True
