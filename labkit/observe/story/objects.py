"""What kube-apiserver has of an object now: is it there, its pods, the services that select them, its events."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from labkit.api.errors import ApiError, NotFound
from labkit.api.kinds import by_kind_name, kind_of
from labkit.api.types import Event, Object, Pod, Service, key
from labkit.client.rest import Client
from labkit.cluster import Cluster
from labkit.observe.story.lines import clean
from labkit.observe.story.target import Target
from labkit.observe.story.told import Said
from labkit.observe.story.words import shortened
from labkit.provision import admin
from labkit.provision.errors import CommandFailed

API_SECONDS = 10.0
CREATED_BY = "kubernetes.io/created-by"


@dataclass
class Objects:
    """owned: its pods. related: services that select it or them. trouble: why kube-apiserver could not be asked."""

    exists: bool = False
    created: int = 0
    owned: list[str] = field(default_factory=list)
    related: list[str] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    trouble: str = ""


def ask(cluster: Cluster, target: Target) -> Objects:
    """Never raises: without kube-apiserver the journals still tell the story."""

    async def asked() -> Objects:
        async with admin.client(cluster) as client:
            return await look(client, target)

    try:
        return asyncio.run(asyncio.wait_for(asked(), API_SECONDS))
    except (ApiError, OSError, TimeoutError, CommandFailed) as exc:
        return Objects(
            trouble=f"kube-apiserver does not answer ({clean(str(exc)) or 'in time'}): told from journals alone"
        )


async def look(client: Client, target: Target) -> Objects:
    """Raises ApiError."""
    pods, services, events = await asyncio.gather(
        client.list(Pod, target.namespace), client.list(Service, target.namespace), client.list(Event)
    )
    try:
        obj: Object | None = await client.get(target.kind.type, target.name, target.namespace)
    except NotFound:
        obj = None
    return understand(target, obj, pods.items, services.items, events.items)


def understand(
    target: Target, obj: Object | None, pods: Sequence[Pod], services: Sequence[Service], events: Sequence[Event]
) -> Objects:
    """What of all this belongs to the target."""
    owned = [pod for pod in pods if obj is not None and _is_owned(pod, obj)]
    selected = [obj] if isinstance(obj, Pod) else owned
    related = [each for each in services if any(_selects(each, pod) for pod in selected)]
    names = {target.path, *map(path_of, owned)}
    uids = {each.metadata.uid for each in (obj, *owned) if each is not None}
    said = [word for word in map(_said, [each for each in events if _is_of(each, uids)]) if word.object in names]
    return Objects(
        obj is not None, _created(obj), list(map(path_of, owned)), list(map(path_of, related)),
        sorted(said, key=lambda word: word.first),
    )  # fmt: skip


def _is_of(event: Event, uids: Collection[str]) -> bool:
    """Not of one that had the name before; of what exists no longer everything is taken. A node's uid is its name."""
    about = event.involved_object
    return not uids or not about.uid or about.uid in uids or about.kind == "Node"


def path_of(obj: Object) -> str:
    return f"{kind_of(obj).resource}/{key(obj)}"


def _is_owned(pod: Pod, obj: Object) -> bool:
    """By its ownerReferences; in 0.18 by an annotation."""
    if any(owner.uid == obj.metadata.uid for owner in pod.metadata.owner_references):
        return True
    return bool(obj.metadata.uid) and f'"uid":"{obj.metadata.uid}"' in pod.metadata.annotations.get(CREATED_BY, "")


def _selects(service: Service, pod: Pod) -> bool:
    wanted = service.spec.selector
    return bool(wanted) and wanted.items() <= pod.metadata.labels.items()


def _said(event: Event) -> Said:
    about = event.involved_object
    row = by_kind_name(about.kind)
    resource = row.resource if row else about.kind.lower()
    path = "/".join(filter(None, (resource, about.namespace if resource != "nodes" else "", about.name)))
    source = " on ".join(filter(None, (event.source.component, event.source.host)))
    return Said(
        object=clean(path), reason=clean(event.reason), message=shortened(clean(event.message)), source=clean(source),
        first=event.first_timestamp or "", count=event.count or 1,
    )  # fmt: skip


def _created(obj: Object | None) -> int:
    """Microseconds since 1970; 0 when that is not known."""
    when = obj.metadata.creation_timestamp if obj else None
    return int(datetime.fromisoformat(when).timestamp() * 1e6) if when else 0
