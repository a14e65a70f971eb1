"""A connection to what listens in a pod, on its own 127.0.0.1 too.

A socket belongs to the network namespace of the thread that made it, for ever. So a thread enters the pod's namespace
(setns, as nsenter does), makes a socket and ends; the socket is ours, and what it connects to is the pod's.
The original ran `nsenter -t PID -n socat - TCP4:localhost:PORT` for each connection.
Source: setns(2), network_namespaces(7). Needs CAP_SYS_ADMIN, which a kubelet has.
"""

import asyncio
import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.components.kubelet.runtime import Connection

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12


async def connect(pid: int, port: int) -> Connection:
    """To 127.0.0.1:port in the network of a process. Raises OSError: nobody listens, no such process, not root."""
    # a thread that ends with this block, and takes microseconds: no thread of a pool may come back changed
    with ThreadPoolExecutor(1) as thread:
        made = thread.submit(_socket_in_network_of, pid).result()
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


def _socket_in_network_of(pid: int) -> socket.socket:
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
