"""The two words that a service says to systemd: READY=1 and STOPPING=1. Source: sd_notify(3)."""

import os
import socket


def notify(state: str) -> None:
    """Send a state to the service manager; does nothing where none listens (no $NOTIFY_SOCKET)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


def notify_ready() -> None:
    """The service does its work from now on: units that wait for it may start."""
    notify("READY=1")
