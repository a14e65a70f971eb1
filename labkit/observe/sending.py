"""A request that is made from here, the host: one connection or one datagram, and what came of it."""

import socket
import time
from collections.abc import Callable

from labkit.probe.report import Ending


def timed(sock: socket.socket, target: tuple[str, int], say: bytes) -> tuple[Ending, bytes, float]:
    """The ending, the answer, and the milliseconds until it came (until we were connected when none did)."""
    began = time.monotonic()
    moments = [began]
    ending, answer = _send(sock, target, say, lambda: moments.append(time.monotonic()))
    ended = moments[-1] if ending in ("connected", "sent") else time.monotonic()
    return ending, answer, round((ended - began) * 1000, 2)


def _send(
    sock: socket.socket, target: tuple[str, int], say: bytes, connected: Callable[[], None]
) -> tuple[Ending, bytes]:
    try:
        sock.connect(target)
        connected()
        if say:
            sock.send(say)
        else:
            sock.settimeout(1.0)
        data = sock.recv(400)
    except ConnectionRefusedError:
        return "refused", b""
    except ConnectionResetError:
        return "reset", b""
    except TimeoutError:
        try:
            sock.getpeername()
        except OSError:
            return "silent", b""
        return ("sent" if sock.type == socket.SOCK_DGRAM else "connected"), b""
    except OSError:
        return "unreachable", b""
    return ("answered" if data else "closed"), data
