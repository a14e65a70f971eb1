"""Local ports that outlive this process: systemd holds them while kube-proxy restarts, and new connections wait there.

    a local port is opened   kube-proxy --FDSTORE=1, FDNAME=tcp-34273, the socket--> systemd
    kube-proxy is away       rules lead to the port, the kernel queues what comes, systemd has the socket open
    it starts again          systemd --LISTEN_FDS=2, descriptors 3 and 4--> kube-proxy, which accepts what has queued up

Needs FileDescriptorStoreMax= in the unit. Without it, or without systemd, nothing is held, and a restart refuses new
connections for as long as it takes. Source: sd_notify(3), sd_listen_fds(3), "File Descriptor Store" of systemd.
"""

import os
import socket
from collections.abc import MutableMapping

from labkit.systemd import notify

_FIRST_DESCRIPTOR = 3


class Handover:
    """What the process before this one had open, by protocol (TCP, UDP) and port."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._inherited: dict[tuple[str, int], socket.socket] = {}
        mine = environ.pop("LISTEN_PID", "") == str(os.getpid())
        count = int(environ.pop("LISTEN_FDS", "0")) if mine else 0
        for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count):
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            protocol = "TCP" if sock.type == socket.SOCK_STREAM else "UDP"
            self._inherited[protocol, sock.getsockname()[1]] = sock

    def take(self, protocol: str, address: str, port: int) -> socket.socket | None:
        """The socket that listened there before the restart."""
        sock = self._inherited.get((protocol, port))
        if sock is None or sock.getsockname()[0] != address:
            return None
        return self._inherited.pop((protocol, port))

    def keep(self, protocol: str, sock: socket.socket) -> None:
        """Have systemd hold a socket."""
        address = os.environ.get("NOTIFY_SOCKET")
        if not address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect("\0" + address[1:] if address.startswith("@") else address)
            text = f"FDSTORE=1\nFDNAME={_name(protocol, sock.getsockname()[1])}"
            socket.send_fds(manager, [text.encode()], [sock.fileno()])

    def forget(self, protocol: str, port: int) -> None:
        """A local port is closed for good: nothing must wait in it."""
        notify(f"FDSTOREREMOVE=1\nFDNAME={_name(protocol, port)}")

    def close(self) -> None:
        """Nobody needs what has not been taken."""
        for (protocol, port), sock in self._inherited.items():
            sock.close()
            self.forget(protocol, port)
        self._inherited.clear()


def _name(protocol: str, port: int) -> str:
    return f"{protocol.lower()}-{port}"
