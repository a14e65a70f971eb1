"""A controller: for each ConfigMap with the label kind=site there shall be a replication controller of its name."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from labkit.api.types import ConfigMap, ReplicationController
from labkit.client.controller import control
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client

NAMESPACE = "default"


@dataclass(frozen=True)
class Do:
    what: str  # create, scale or delete
    name: str
    replicas: int = 0


def wanted_by(sites: list[ConfigMap]) -> dict[str, int]:
    """Name -> how many pods."""
    return {site.metadata.name: int(site.data["replicas"]) for site in sites}


def plan(wanted: dict[str, int], there: dict[str, int]) -> list[Do]:
    """What makes `there` (name -> replicas) the same as `wanted`. Looks at nothing else, and does nothing."""
    todo = []
    for name, replicas in wanted.items():
        if name not in there:
            todo.append(Do("create", name, replicas))
    # here something is missing
    return todo


async def run(client: Client) -> None:
    sites = Informer(client, ConfigMap, NAMESPACE, label_selector="kind=site")
    controllers = Informer(client, ReplicationController, NAMESPACE, label_selector="made-by=sites")
    queue = WorkQueue()

    def something_changed(old: object, new: object) -> None:
        queue.add("all", cause="something changed")  # what it was is forgotten on purpose

    async def sync(key: str) -> None:
        there = {found.metadata.name: found.spec.replicas or 0 for found in controllers.store.values()}
        for do in plan(wanted_by(list(sites.store.values())), there):
            print(do)
            await act(client, do)

    sites.on_change(something_changed)
    controllers.on_change(something_changed)
    await control("sites", queue, sync, sites, controllers)


async def act(client: Client, do: Do) -> None:
    if do.what == "create":
        text = Path("site.yaml").read_text().replace("NAME", do.name).replace("REPLICAS", str(do.replicas))
        made = msgspec.convert(yaml.safe_load(text), ReplicationController)
        made.metadata.namespace = NAMESPACE
        await client.create(made)
    elif do.what == "scale":
        await client.patch(ReplicationController, do.name, NAMESPACE, {"spec": {"replicas": do.replicas}})
    else:
        await client.delete(ReplicationController, do.name, NAMESPACE, propagation_policy="Background")
