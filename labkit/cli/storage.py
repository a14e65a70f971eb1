"""`labkit storage`: a file system over the machines, and volumes of it for claims."""

import asyncio
from typing import Annotated

import typer

from labkit import cluster as clusters
from labkit.api import quantity
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, load_or_init, out, reporting
from labkit.cluster import Cluster, ClusterError

app = typer.Typer(no_args_is_help=True, help="A file system over the machines (GlusterFS), and volumes of it.")


@app.command()
def up(name: Name = DEFAULT_CLUSTER) -> None:
    """Bring the cluster up with storage: a copy of every volume on each of the first three machines.

    A cluster that runs gets it while it runs. About 70 MB of memory on each of the three.
    """
    from labkit.provision.up import up as bring_up

    cluster = load_or_init(name)
    if not cluster.storage:
        cluster.storage = "glusterfs"
        clusters.save(cluster)
    with reporting("everything done so far is kept; `labkit storage up` goes on from here", cluster) as report:
        outcome = bring_up(cluster, report)
    if outcome.nothing_to_do:
        out.print("nothing to do: the storage is what it should be")
    servers = ", ".join(machine.name for machine in cluster.storage_servers)
    out.print(f"GlusterFS on {servers}; next: labkit storage volume data", style="green", highlight=False)


@app.command()
def volume(
    volume: Annotated[str, typer.Argument(metavar="NAME", help="Of the volume, and of the PersistentVolume.")],
    size: Annotated[str, typer.Option(help="What claims are told that it has; nothing bounds it.")] = "1Gi",
    reclaim: Annotated[str, typer.Option(help="When its claim is deleted: Retain or Recycle.")] = "Retain",
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Make a volume with its copies, and the PersistentVolume that offers it to claims."""
    from labkit.provision import admin, storage

    try:
        quantity.parse(size)
    except quantity.QuantityError as exc:
        raise typer.BadParameter(f"{size!r}: {exc}", param_hint="--size") from exc
    if reclaim not in ("Retain", "Recycle"):
        raise typer.BadParameter(f"{reclaim!r}: expected Retain or Recycle", param_hint="--reclaim")
    if not storage.VOLUME_NAME.fullmatch(volume):
        raise typer.BadParameter(f"{volume!r}: expected a letter and up to 41 of a-z, 0-9 and '-'", param_hint="NAME")
    cluster = _with_storage(name)

    async def offer() -> bool:
        async with admin.client(cluster) as client:
            return await storage.offer(client, storage.persistent_volume(volume, size, reclaim))

    with reporting("run it again", cluster) as report:
        made = storage.make_volume(cluster, volume, report)
        offered = asyncio.run(offer())
        report.done("host")
    for what, is_new in (("volume", made), ("PersistentVolume", offered)):
        out.print(f"{what} {volume} {'made' if is_new else 'is there'}", highlight=False)


@app.command()
def status(name: Name = DEFAULT_CLUSTER) -> None:
    """The servers and the volumes; exit code 1 when a server is away or copies differ."""
    from labkit.provision import storage

    cluster = _with_storage(name)
    peers, volumes = storage.peers(cluster), storage.heal_state(cluster)
    for server, is_connected in peers.items():
        out.print(f"server {server:<12} {'connected' if is_connected else 'away'}", highlight=False)
    for volume, entries in volumes.items():
        said = "a copy is away" if entries is None else f"{entries} to heal" if entries else "all copies the same"
        out.print(f"volume {volume:<12} {said}", highlight=False)
    if not all(peers.values()) or any(entries != 0 for entries in volumes.values()):
        raise typer.Exit(1)


@app.command()
def down(
    name: Name = DEFAULT_CLUSTER,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove storage from the machines, with every volume and all data on it.

    While a claim or a pod uses a volume nothing is removed (exit code 1). `labkit storage up` begins anew.
    """
    from labkit.provision import storage_down

    cluster = _with_storage(name)
    if used := storage_down.in_use(cluster):
        for line in used:
            out.print(f"in use: {line}", highlight=False, soft_wrap=True)
        out.print("nothing was removed; delete what uses it first: kubectl delete pvc,pod ...", highlight=False)
        raise typer.Exit(1)
    if not yes and not typer.confirm(f"Remove GlusterFS and the data of all its volumes from cluster {name}?"):
        out.print("nothing was removed")
        raise typer.Exit(1)
    with reporting("run `labkit storage down` again", cluster) as report:
        storage_down.down(cluster, report)
    out.print("no storage any more; the machines and everything else on them stay", style="green")


def _with_storage(name: str) -> Cluster:
    cluster = clusters.load(name)
    if not cluster.storage:
        raise ClusterError(cluster.state / "cluster.json", ["storage: none yet: `labkit storage up` brings it"])
    return cluster
