"""The cluster's own files, and what an `up` that was cut off may have left behind."""

import datetime
from collections.abc import Iterator

from cryptography import x509

from labkit.cluster import Cluster
from labkit.provision import boot, containers
from labkit.provision.doctor.finding import Finding, note, well, wrong
from labkit.provision.faults.book import Book
from labkit.provision.host_facts import HostFacts

HOST = "host"
PRIVATE = 0o077


def findings(cluster: Cluster, facts: HostFacts) -> list[Finding]:
    found = [*_modes(cluster), *_certificates(cluster), *_ports(cluster), *_faults(cluster)]
    if cluster.provider == "docker" and facts.docker_running:
        found += _leftovers(cluster)
    return found or [well(HOST, f"the files of cluster {cluster.name} are in order")]


def _modes(cluster: Cluster) -> Iterator[Finding]:
    """Keys that others can read."""
    for path in (cluster.state, *sorted(cluster.state.glob("ssh/*")), *sorted(cluster.state.glob("pki/*.key"))):
        if path.exists() and path.suffix != ".pub" and path.stat().st_mode & PRIVATE:
            wanted = "700" if path.is_dir() else "600"
            yield wrong(HOST, f"{path} is open to other users ({path.stat().st_mode & 0o777:o})",
                        f"`chmod {wanted} {path}`", "chmod", wanted, str(path))  # fmt: skip


def _certificates(cluster: Cluster) -> Iterator[Finding]:
    now = datetime.datetime.now(datetime.UTC)
    for path in sorted((cluster.state / "pki").glob("*.crt")):
        try:
            ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        except ValueError:
            yield wrong(HOST, f"{path} is damaged", f"`rm {path}`, then `labkit up`: a new one is made")
            continue
        if ends < now:
            yield wrong(HOST, f"the certificate {path.stem} ended on {ends:%Y-%m-%d}", "`labkit up` makes a new one")


def _ports(cluster: Cluster) -> Iterator[Finding]:
    try:
        boot.ports(cluster)
    except ValueError as exc:
        yield wrong(HOST, str(exc).partition(";")[0], f"`rm {cluster.state / 'ports.json'}`, then `labkit up`")


def _faults(cluster: Cluster) -> Iterator[Finding]:
    for fault in Book(cluster).faults():
        yield note(HOST, f"a fault was made on purpose: {fault.says}", f"`labkit fault heal {fault.number}`")


def _leftovers(cluster: Cluster) -> Iterator[Finding]:
    wanted = {machine.name for machine in cluster.machines}
    for name, state in containers.states(cluster).items():
        if state == "half_made":
            yield wrong(
                HOST, f"the machine {name} was only half made", "`labkit up` makes it again", "remove-half-made", name
            )
        elif name not in wanted:
            yield note(HOST, f"the machine {name} is no longer in cluster.json", "`labkit up` removes it")
