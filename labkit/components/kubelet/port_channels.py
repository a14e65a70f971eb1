"""Port-forward as Python clients speak it: channels of one WebSocket, two for each port that was asked for.

?ports=6379,80             channel 0: data of 6379, channel 1: its errors; 2 and 3: those of 80
the first message of each  the port, two bytes, the low one first
every other message        bytes of the connection; on the odd channel why it did not work

So there is one connection per port, made at once; the end of it cannot be said, only that of the whole WebSocket.
Source: k8s.io/kubernetes/pkg/kubelet/.../portforward/websocket.go; what kubernetes-py and kr8s were seen to do.
"""

import asyncio
import struct
from typing import Any

from aiohttp import WSMsgType, web

from labkit.components.kubelet.port_forward import Connect, forward

MAX_PORTS = 127  # a channel is one byte, and 255 is not one
_PIECES = 4  # read from the WebSocket before the pod takes one


class Channel:
    """One direction each way; see port_forward.Lane."""

    def __init__(self, socket: web.WebSocketResponse, number: int) -> None:
        self._socket = socket
        self._number = bytes([number])
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(_PIECES)
        self._closed = False

    async def read(self) -> bytes:
        return await self._arrived.get()

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(self._number + data)

    async def end(self) -> None:
        """There is no word for it."""

    def close(self) -> None:
        self._closed = True
        while not self._arrived.empty():
            self._arrived.get_nowait()

    async def arrive(self, data: bytes) -> None:
        """Waits while the buffer is full."""
        if data and not self._closed:
            await self._arrived.put(data)


async def serve(socket: web.WebSocketResponse, ports: list[int], connect: Connect) -> None:
    """Forward until all connections have ended, or the client is gone."""
    channels = [Channel(socket, number) for number in range(2 * len(ports))]
    try:
        for number, channel in enumerate(channels):
            await channel.write(struct.pack("<H", ports[number // 2]))
    except OSError:
        return  # it is gone already
    pairs = zip(ports, channels[::2], channels[1::2], strict=True)
    forwarding = asyncio.gather(*(forward(str(port), data, error, connect) for port, data, error in pairs))
    running: list[asyncio.Future[Any]] = [forwarding, asyncio.ensure_future(_deal(socket, channels))]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _deal(socket: web.WebSocketResponse, channels: list[Channel]) -> None:
    """Each message to its channel, until the client has left; errors are ours to tell, not the client's."""
    async for message in socket:
        data = message.data.encode() if message.type == WSMsgType.TEXT else message.data
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and data and data[0] in range(0, len(channels), 2):
            await channels[data[0]].arrive(data[1:])
