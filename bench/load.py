"""The load of `make bench WHAT=proxy`, as processes in the pods: `python -m bench.load serve|connections|trips|delays`.

Each kind prints one JSON line with its figure and what the generator itself used of a processor: of each connection's
time a part is the generator's own, on every way the same.
"""

import json
import selectors
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

PACE_SECONDS = 0.05  # between two requests of one of many connections: far from what any way can carry


def serve(port: int) -> None:
    """Each connection says by its first byte what it wants: c one byte back, t all that it sends back."""
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        if client.recv(1) == b"c":
            client.send(b"x")
            client.close()
        else:
            threading.Thread(target=_echo, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    with client, suppress(ConnectionError):  # a way may end by a reset
        while data := client.recv(4096):
            client.send(data)


def _connected(ip: str, port: int) -> socket.socket:
    sock = socket.create_connection((ip, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.send(b"t")
    return sock


def trips(ip: str, port: int, seconds: float) -> float:
    """Round trips of one byte a second, on one connection."""
    count = 0
    with _connected(ip, port) as sock:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            sock.send(b"x")
            count += len(sock.recv(1))
        return count / (time.perf_counter() - began)


def connections(clients: int, ip: str, port: int, seconds: float) -> float:
    """Connections a second, each opened, asked for one byte, and closed, by so many clients at once."""
    counts = [0] * clients
    until = time.perf_counter() + seconds

    def one(number: int) -> None:
        while time.perf_counter() < until:
            with socket.create_connection((ip, port), timeout=10) as sock:
                sock.send(b"c")
                counts[number] += len(sock.recv(1))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def delays(clients: int, ip: str, port: int, seconds: float) -> float:
    """The 99th percentile, in ms, of round trips on so many connections, each of which asks every PACE_SECONDS."""
    ready = selectors.DefaultSelector()
    socks = [_connected(ip, port) for _ in range(clients)]
    for sock in socks:
        ready.register(sock, selectors.EVENT_READ)
    began = time.perf_counter()
    due = {sock: began + PACE_SECONDS * (1 + number / clients) for number, sock in enumerate(socks)}
    asked: dict[socket.socket, float] = {}
    took = []
    while (now := time.perf_counter()) < began + seconds:
        for sock, moment in due.items():
            if moment <= now and sock not in asked:
                asked[sock] = time.perf_counter()
                due[sock] = moment + PACE_SECONDS
                sock.send(b"x")
        for key, _ in ready.select(max(0.0, min(due.values()) - time.perf_counter())):
            answered: Any = key.fileobj
            answered.recv(1)
            took.append(time.perf_counter() - asked.pop(answered))
    for sock in socks:
        sock.close()
    return 1000 * sorted(took)[int(len(took) * 0.99)]


def main(arguments: list[str]) -> None:
    before = time.process_time()
    match arguments:
        case ["serve", port]:
            serve(int(port))
        case ["trips", ip, port, seconds]:
            value = trips(ip, int(port), float(seconds))
        case ["connections", clients, ip, port, seconds]:
            value = connections(int(clients), ip, int(port), float(seconds))
        case ["delays", clients, ip, port, seconds]:
            value = delays(int(clients), ip, int(port), float(seconds))
        case _:
            sys.exit(f"expected serve PORT, trips IP PORT SECONDS, connections|delays N IP PORT SECONDS: {arguments}")
    print(json.dumps({"value": value, "cpu": time.process_time() - before}))


if __name__ == "__main__":
    main(sys.argv[1:])
