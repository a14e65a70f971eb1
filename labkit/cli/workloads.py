"""What kubectl of 2015 could do and today's cannot, and nodes to try it on."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import yaml

from labkit import cluster as clusters
from labkit import rolling_update as rolling
from labkit.api.codec import from_builtins
from labkit.api.defaults import set_defaults
from labkit.api.errors import BadRequest
from labkit.api.types import ReplicationController
from labkit.api.validation import validate
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, out, reporting
from labkit.provision import admin

app = typer.Typer()


@app.command("rolling-update", rich_help_panel="Cluster")
def rolling_update(
    old: Annotated[str, typer.Argument(metavar="CONTROLLER", help="The replication controller to be replaced.")],
    new: Annotated[
        str | None, typer.Argument(metavar="[NEW]", help="With --rollback: the update to be undone.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--filename", "-f", help="YAML or JSON of the new controller, with another name.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Instead of a file: the same controller with this image.")] = None,
    period: Annotated[float, typer.Option("--update-period", min=0, help="Seconds between two steps.")] = 60.0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one pod.")] = 300.0,
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo an update that is under way.")] = False,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the controllers are.")] = "default",
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Replace a replication controller by another, pod by pod, as kubectl of 2015 did (today's has no such command).

    labkit rolling-update redis-v1 -f redis-v2.yaml --update-period 5

    labkit rolling-update redis-master --image redis:2.8

    The new one grows by one pod, then the old one shrinks by one, until the old one is empty and is deleted. The same
    command goes on where an interrupted one stopped; --rollback goes back.
    """
    if [bool(file), bool(image), rollback and bool(new)].count(True) != 1:
        raise typer.BadParameter("expected one of --filename FILE, --image IMAGE, or NEW with --rollback")
    replacement = read(file, namespace) if file else None
    times = rolling.Times(period=period, timeout=timeout)
    cluster = clusters.load(name)

    async def work() -> None:
        async with admin.client(cluster) as client:
            there = await client.get(ReplicationController, old, namespace)
            if replacement:
                await rolling.rolling_update(client, there, replacement, times, tell)
            elif image:
                await rolling.change_image(client, there, image, times, tell)
            else:
                begun = await client.get(ReplicationController, new or "", namespace)
                await rolling.roll_back(client, there, begun, times, tell)

    with reporting("the same command goes on from here, --rollback goes back"):
        asyncio.run(work())


def tell(line: str) -> None:
    out.print(line, highlight=False)


@app.command(rich_help_panel="Cluster")
def hollow(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=1000, help="How many.")] = 100,
    start: Annotated[float, typer.Option("--start-time", min=0, help="Seconds that a container takes to start.")] = 0.5,
    proxies: Annotated[bool, typer.Option(help="A kube-proxy for each, too, whose rules lead nowhere.")] = True,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Add nodes that run nothing, until Ctrl-C: a cluster of a hundred nodes on a laptop.

    Each is a whole kubelet whose containers are entries of a list, and a whole kube-proxy whose rules are. Their pods
    are Running, but nothing answers there: send pods to them with `nodeSelector: {labkit/hollow: "true"}`, and keep
    labs for when they are gone.
    """
    from labkit.provision import hollow as hollow_nodes

    raise typer.Exit(hollow_nodes.run(clusters.load(name), nodes, start, proxies=proxies))


def read(path: Path, namespace: str) -> ReplicationController:
    """The replication controller of a manifest, with defaults. Raises UpdateError, naming the file and the field."""
    try:
        document = yaml.safe_load(path.read_bytes())
        rc = from_builtins(document, ReplicationController)
    except (OSError, yaml.YAMLError, BadRequest, TypeError) as exc:
        raise rolling.UpdateError(f"{path}: {exc}") from exc
    if rc.kind != "ReplicationController":
        raise rolling.UpdateError(f"{path}: kind: expected ReplicationController, got {rc.kind}")
    rc.metadata.namespace = rc.metadata.namespace or namespace
    set_defaults(rc)
    if faults := validate(rc):
        raise rolling.UpdateError(f"{path}: {faults[0].field}: {faults[0].message}")
    return rc
