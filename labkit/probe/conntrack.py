"""The kernel's memory of connections: what a request was addressed to, and who really answers.

    tcp 6 119 TIME_WAIT src=10.244.2.2 dst=10.0.0.11 sport=40001 dport=6379      as the client sent it
                        src=10.244.2.1 dst=10.244.2.2 sport=34273 dport=40001    as the answer comes, yet unchanged

Source: conntrack(8).
"""

import re
import subprocess

from labkit.probe.report import Flow, Packet

_TUPLE = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
_STATE = re.compile(r"^tcp +\d+ +\d+ +([A-Z_0-9]+) ")


def find(protocol: str, client: str, target: str) -> Flow | None:
    """The entry of one connection, None when there is none."""
    source, sport = client.rsplit(":", 1)
    destination, dport = target.rsplit(":", 1)
    wanted = ("-p", protocol, "-s", source, "-d", destination, "--sport", sport, "--dport", dport)
    done = subprocess.run(["conntrack", "-L", *wanted], capture_output=True, text=True, timeout=20, check=False)
    found = parse(done.stdout)
    return found[0] if found else None


def parse(listed: str) -> list[Flow]:
    """The entries of `conntrack -L` that have ports."""
    flows = []
    for line in listed.splitlines():
        tuples = _TUPLE.findall(line)
        if len(tuples) == 2:
            state = _STATE.match(line)
            flows.append(Flow(original=_packet(*tuples[0]), reply=_packet(*tuples[1]), state=state[1] if state else ""))
    return flows


def _packet(source: str, destination: str, sport: str, dport: str) -> Packet:
    return Packet(source=f"{source}:{sport}", destination=f"{destination}:{dport}")
