"""`python -m labkit.probe`: a Request as JSON on stdin, a Report as JSON on the last line of stdout.

With `flow PROTOCOL SOURCE DESTINATION` it only tells whether this machine's conntrack knows that connection; with `dns`
a NameRequest becomes a NameReport.
"""

import signal
import sys

import msgspec

from labkit.probe import conntrack
from labkit.probe.asked import NameReport, NameRequest
from labkit.probe.look import look
from labkit.probe.report import Report, Request
from labkit.probe.resolver import look_up


def main() -> None:
    """Exit 0 with a report, whatever became of the request; 2 for a request that cannot be read."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that our table is removed
    report: Report | NameReport
    try:
        match sys.argv[1:]:
            case ["flow", protocol, source, destination]:
                report = Report(flow=conntrack.find(protocol, source, destination))
            case ["dns"]:
                report = look_up(msgspec.json.decode(sys.stdin.buffer.read(), type=NameRequest))
            case _:
                report = look(msgspec.json.decode(sys.stdin.buffer.read(), type=Request))
    except msgspec.DecodeError as exc:
        print(f"labkit.probe: the request: {exc}", file=sys.stderr)
        sys.exit(2)
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main()
