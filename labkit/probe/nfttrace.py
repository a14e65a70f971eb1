"""What the kernel tells of single packets: every rule that a marked packet meets, in all tables, as it happens.

    nft -f: a table of our own, before all others, marks the packets that are asked for    meta nftrace set 1
    nft -a monitor trace:   trace id 1321308a ip nat PREROUTING packet: iif "docker0" ... ip saddr 10.244.2.2 ...
                            trace id 1321308a ip nat KUBE-PORTALS-CONTAINER rule ... # handle 5 (verdict accept)

The rules of iptables are rules of nftables in the kernel (iptables-nft), so this serves all modes of kube-proxy. Where
the monitor is can be asked at any time: a datagram to ourselves, which our table marks and drops, comes out of it too.
Source: nft(8), "MONITOR" and "meta nftrace"; https://wiki.nftables.org, "Ruleset debug/tracing".
"""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from labkit.probe.trace_lines import Traced, parse

TABLE = "labkit-packet"
PING_PORT = 9  # "discard"; the datagram is dropped before it is sent
READY_SECONDS = 20.0  # nft reads the whole ruleset first
BACKENDS = 64  # so many endpoints are watched for the proxy's attempts


class TraceFailed(Exception):
    """nft did not do it; the message is what it said."""


def table(name: str, protocol: str, match: str, backends: list[str], ping_sport: int) -> str:
    """What nft -f is told. match: the client's packets, as an nft expression."""
    first = "tcp flags & (fin | syn | rst | ack) == syn " if protocol == "tcp" else ""
    chains = {
        "ping": ("output", -400, f"ip daddr 127.0.0.1 udp sport {ping_sport} udp dport {PING_PORT}", "drop"),
        "client-in": ("prerouting", -350, f"{first}{match}", ""),
        "client-out": ("output", -350, f"{first}{match}", ""),
    }
    if backends:
        listed = ", ".join(each.replace(":", " . ") for each in backends[:BACKENDS])
        chains["attempt"] = ("output", -349, f"{first}ip daddr . {protocol} dport {{ {listed} }}", "")
        if protocol == "tcp":
            rst = f"tcp flags & rst == rst ip saddr . tcp sport {{ {listed} }}"
            chains["refusal"] = ("prerouting", -349, rst, "")
    lines = [f"table ip {name} {{"]
    for chain, (hook, priority, matched, verdict) in chains.items():
        lines += [f"chain {chain} {{", f"type filter hook {hook} priority {priority};"]
        lines += [f"{matched} meta nftrace set 1 {verdict}".rstrip(), "}"]
    return "\n".join([*lines, "}", ""])


class Trace:
    """`with tracing(...) as trace:` the packets that match are told until the block ends."""

    def __init__(self, name: str, monitor: subprocess.Popen[str], ping: socket.socket) -> None:
        self.name = name
        self._monitor = monitor
        self._ping = ping
        self._lines: list[str] = []
        self._pings = 0
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def packets(self) -> list[Traced]:
        """All that was marked until now; the monitor has told of it when this returns. Raises TraceFailed."""
        self.catch_up()
        with self._heard:
            return parse(list(self._lines), self.name)

    def catch_up(self) -> None:
        """Wait until the monitor tells of a datagram that is sent now."""
        with self._heard:
            seen = self._pings
            for _ in range(int(READY_SECONDS / 0.02)):
                with suppress(PermissionError):  # our table drops it
                    self._ping.send(b"")
                if self._heard.wait_for(lambda: self._pings > seen or self._monitor.poll() is not None, 0.02):
                    break
            if self._pings == seen:
                said = "ended" if self._monitor.poll() is not None else f"told nothing for {READY_SECONDS:g} s"
                raise TraceFailed(f"`nft -a monitor trace` {said}")

    def _read(self) -> None:
        assert self._monitor.stdout
        for line in self._monitor.stdout:
            with self._heard:
                if f" ip {self.name} ping rule " in line:
                    self._pings += 1
                elif f" ip {self.name} ping " not in line:
                    self._lines.append(line)
                self._heard.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._monitor.terminate()
        self._monitor.wait()
        self._reader.join()
        if self._monitor.stdout:
            self._monitor.stdout.close()


@contextmanager
def tracing(protocol: str, match: str, backends: list[str]) -> Iterator[Trace]:
    """Mark and hear. Raises TraceFailed."""
    name = f"{TABLE}-{os.getpid()}"
    sweep()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ping:
        ping.bind(("127.0.0.1", 0))
        ping.connect(("127.0.0.1", PING_PORT))
        _nft("-f", "-", text=table(name, protocol, match, backends, ping.getsockname()[1]))
        try:
            command = ["nft", "-a", "monitor", "trace"]
            monitor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            with Trace(name, monitor, ping) as trace:
                trace.catch_up()
                yield trace
        finally:
            _nft("delete", "table", "ip", name)


def sweep() -> None:
    """Remove what a probe that was killed has left."""
    for each in re.findall(rf"table ip ({TABLE}-(\d+))", _nft("list", "tables")):
        if not os.path.exists(f"/proc/{each[1]}"):  # noqa: PTH110
            _nft("delete", "table", "ip", each[0])


def _nft(*arguments: str, text: str | None = None) -> str:
    try:
        done = subprocess.run(["nft", *arguments], input=text, capture_output=True, text=True, timeout=30, check=False)
    except OSError as exc:
        raise TraceFailed(f"nft: {exc.strerror}; install the package nftables") from exc
    if done.returncode:
        raise TraceFailed(f"nft {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
