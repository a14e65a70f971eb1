"""Flags that several components have: the API server, amounts with units, leader election."""

import argparse
import re
from typing import Any

from labkit.client.kubeconfig import KubeconfigError
from labkit.client.leader import Election, Timing, identity
from labkit.client.rest import Client


def client_of(parser: argparse.ArgumentParser, given: argparse.Namespace, **options: Any) -> Client:
    """The client that --kubeconfig describes; a file that is wrong ends the process with a sentence that says so."""
    try:
        return Client.from_kubeconfig(given.kubeconfig, **options)
    except KubeconfigError as exc:
        parser.error(f"--kubeconfig: {exc}")


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """`40s`, `5m`, `1m30s`, `500ms`, or a plain number of seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time such as 40s, 5m or 1m30s")
    return sum(float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def add_leader_election(parser: argparse.ArgumentParser) -> None:
    """--leader-elect and what belongs to it."""
    parser.add_argument(
        "--leader-elect", action="store_true",
        help="of several, only the one that holds a Lease in kube-system works; the others take over when it fails",
    )  # fmt: skip
    parser.add_argument(
        "--leader-elect-identity", default="", metavar="NAME",
        help="who holds the Lease; two that run at a time need different names (default: host name and random digits)",
    )  # fmt: skip
    for flag, default, text in (
        ("--leader-elect-lease-duration", "15s", "silence of the leader after which another takes over"),
        ("--leader-elect-renew-deadline", "10s", "without success for so long the leader stops itself"),
        ("--leader-elect-retry-period", "2s", "how often the Lease is renewed, or tried"),
    ):
        parser.add_argument(flag, type=seconds, default=default, metavar="TIME", help=f"{text} (default %(default)s)")


def election(client: Client, given: argparse.Namespace, name: str) -> Election | None:
    """None without --leader-elect; ValueError, naming the flag, for times that would let two lead at once."""
    if not given.leader_elect:
        return None
    timing = Timing(
        given.leader_elect_lease_duration, given.leader_elect_renew_deadline, given.leader_elect_retry_period
    )
    if not timing.duration > timing.renew > timing.retry > 0:
        raise ValueError(
            f"--leader-elect-lease-duration ({timing.duration:g}s): expected more than --leader-elect-renew-deadline"
            f" ({timing.renew:g}s), and that more than --leader-elect-retry-period ({timing.retry:g}s)"
        )
    return Election(client, name, given.leader_elect_identity or identity(), timing)
