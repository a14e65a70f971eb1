"""The option --inventory: hosts that are there already, and their host keys, asked about where nobody has said them."""

import sys
from pathlib import Path

import typer

from labkit import cluster as clusters
from labkit.cli.terminal import load_or_init
from labkit.cluster import Cluster, ClusterError
from labkit.cluster_rules import EXISTING

OPTION = typer.Option(
    "--inventory", metavar="FILE", dir_okay=False, help="hosts.json: hosts that are there already (ssh; docs/ssh.md)."
)


def load(name: str, provider: str | None, inventory: Path | None) -> Cluster:
    """The cluster that `up` is about. A bad inventory is refused before anything is written. Raises ClusterError."""
    from labkit.provision.existing import inventory as hosts
    from labkit.provision.existing import trust

    if inventory and provider not in (None, EXISTING):
        raise typer.BadParameter(f"is for the provider {EXISTING}, not {provider}", param_hint="--inventory")
    found = hosts.read(inventory) if inventory else None
    path = clusters.state_dir(name) / "cluster.json"
    if provider == EXISTING and found is None and not path.with_name(hosts.KEPT).exists():
        what = "the provider ssh takes hosts that are there already: expected --inventory hosts.json (docs/ssh.md)"
        raise ClusterError(path, [what])
    provider = provider or (EXISTING if found and not path.exists() else None)
    cluster = clusters.init(name, provider=provider) if provider else load_or_init(name)
    if found:
        cluster = hosts.adopt(cluster, found)
    if cluster.provider == EXISTING:
        trust.ensure(cluster, typer.confirm if sys.stdin.isatty() else None)
    return cluster
