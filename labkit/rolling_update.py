"""`labkit rolling-update`: one replication controller takes over from another, pod by pod.

kubectl did this itself in 2015, from the user's terminal; the server knows nothing of it. Today's Deployments
grew out of it, and kubectl has dropped it.

    redis-v1  3  2  1  0  deleted          the new one grows by one, is waited for, then the old one shrinks by one
    redis-v2  1  2  3  3

What is under way is written on the new controller (annotations), so that the same command, given again after an
interruption, goes on from there. Source: pkg/kubectl/rolling_updater.go of Kubernetes 0.18.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from labkit.api.errors import Conflict, NotFound
from labkit.api.types import Pod, ReplicationController, copy
from labkit.client.rest import Client

DESIRED = "kubectl.kubernetes.io/desired-replicas"
SOURCE = "kubectl.kubernetes.io/update-source-id"
DEPLOYMENT = "deployment"  # the label that tells two controllers apart that are the same but for an image

Tell = Callable[[str], None]


class UpdateError(Exception):
    """The update cannot begin or did not get on; the text says why."""

    exit_code = 3


class Times(NamedTuple):
    """Seconds: between two steps, between two looks, and how long to wait for one pod."""

    period: float = 60.0
    poll: float = 0.5
    timeout: float = 300.0


class Step(NamedTuple):
    """How many pods each is to have next."""

    new: int
    old: int


def next_step(new: int, old: int, desired: int) -> Step | None:
    """One more and one less; at the end the rest of either; None when it is done."""
    if new < desired and old > 0:
        return Step(new + 1, old - 1)
    return None if (new, old) == (desired, 0) else Step(desired, 0)


async def rolling_update(
    client: Client, old: ReplicationController, new: ReplicationController, times: Times, tell: Tell
) -> None:
    """Replace `old` by `new`, which may not exist yet; `old` is gone at the end. Raises UpdateError, ApiError."""
    check(old, new)
    new, desired = await _begun(client, old, new, times, tell)
    names = f"{old.metadata.name} replicas: {{}}, {new.metadata.name} replicas: {{}}"
    replicas, there = new.spec.replicas or 0, old.spec.replicas or 0
    while step := next_step(replicas, there, desired):
        tell("Updating " + names.format(step.old, step.new))
        if step.new != replicas:
            await _scale(client, new, step.new, times, ready=True)
        await asyncio.sleep(times.period if step.old else 0)
        if step.old != there:
            await _scale(client, old, step.old, times, ready=False)
        replicas, there = step.new, step.old
        tell("At end of loop: " + names.format(there, replicas))
    await _clean(client, new)
    tell(f"Update succeeded. Deleting {old.metadata.name}")
    await _delete(client, old, times)


async def change_image(client: Client, old: ReplicationController, image: str, times: Times, tell: Tell) -> None:
    """The same controller with another image. Raises UpdateError, ApiError."""
    told_apart = await marked(client, old)
    new = with_image(told_apart, image)
    await rolling_update(client, told_apart, new, times, tell)
    await renamed(client, new, old.metadata.name, times, tell)


async def roll_back(
    client: Client, old: ReplicationController, new: ReplicationController, times: Times, tell: Tell
) -> None:
    """Undo the update from `old` to `new` that is under way. Raises UpdateError, ApiError."""
    await rolling_update(client, new, await turned_back(client, old, new), times, tell)


def check(old: ReplicationController, new: ReplicationController) -> None:
    """Raises UpdateError when the two could not be told apart."""
    if old.metadata.name == new.metadata.name:
        raise UpdateError(f"{new.metadata.name}: expected another name than that of the controller to be replaced")
    if (new.spec.replicas or 0) < 1:
        raise UpdateError(f"{new.metadata.name}: spec.replicas: expected at least 1, got {new.spec.replicas}")
    differing = {key for key in old.spec.selector if new.spec.selector.get(key, "") != old.spec.selector[key]}
    if not differing:
        raise UpdateError(
            f"{new.metadata.name}: spec.selector: expected one key of {old.metadata.name}'s selector"
            f" ({', '.join(sorted(old.spec.selector))}) with another value: else both count the same pods"
        )


async def _begun(
    client: Client, old: ReplicationController, new: ReplicationController, times: Times, tell: Tell
) -> tuple[ReplicationController, int]:
    """The new controller with at least one pod, and how many it is to have in the end."""
    meta = new.metadata
    try:
        found = await client.get(ReplicationController, meta.name, meta.namespace)
    except NotFound:
        desired = new.spec.replicas or 1
        tell(f"Creating {meta.name}")
        first = copy(new)
        first.metadata.annotations |= {DESIRED: str(desired), SOURCE: old.metadata.name}
        first.spec.replicas = 1
        found = await client.create(first)
        await _wait(client, found, 1, times, ready=True)
        return found, desired
    if found.metadata.annotations.get(SOURCE) != old.metadata.name:
        raise UpdateError(f"{meta.name} exists and is no update of {old.metadata.name}: expected another name")
    tell(f"Continuing update with existing controller {meta.name}.")
    return found, int(found.metadata.annotations[DESIRED])


async def _scale(client: Client, rc: ReplicationController, replicas: int, times: Times, *, ready: bool) -> None:
    """Ask for so many and wait until they are there; `ready`: until they also answer."""

    def change(found: ReplicationController) -> None:
        found.spec.replicas = replicas

    await _wait(client, await _change(client, rc, change), replicas, times, ready=ready)


async def _wait(client: Client, rc: ReplicationController, replicas: int, times: Times, *, ready: bool) -> None:
    deadline = time.monotonic() + times.timeout
    while True:
        found = await client.get(ReplicationController, rc.metadata.name, rc.metadata.namespace)
        status = found.status
        seen = (status.observed_generation or 0) >= (rc.metadata.generation or 0)
        enough = not ready or (status.ready_replicas or 0) >= replicas
        if seen and status.replicas == replicas and enough:
            return
        if time.monotonic() > deadline:
            raise UpdateError(
                f"{rc.metadata.name}: {status.ready_replicas or 0} of {replicas} pods are ready after"
                f" {times.timeout:g} s; the same command goes on from here, --rollback goes back"
            )
        await asyncio.sleep(times.poll)


async def _change(
    client: Client, rc: ReplicationController, change: Callable[[ReplicationController], None]
) -> ReplicationController:
    """Read, change, write, until nobody else has written in between."""
    while True:
        found = await client.get(ReplicationController, rc.metadata.name, rc.metadata.namespace)
        change(found)
        try:
            return await client.update(found)
        except Conflict:
            continue


async def _delete(client: Client, rc: ReplicationController, times: Times) -> None:
    """Without its pods, and until it is gone: the garbage collector first lets go of what it owns."""
    deadline = time.monotonic() + times.timeout
    with contextlib.suppress(NotFound):
        await client.delete(ReplicationController, rc.metadata.name, rc.metadata.namespace)
        while True:
            await client.get(ReplicationController, rc.metadata.name, rc.metadata.namespace)
            if time.monotonic() > deadline:
                raise UpdateError(f"{rc.metadata.name} is still being deleted after {times.timeout:g} s")
            await asyncio.sleep(times.poll)


async def turned_back(client: Client, old: ReplicationController, new: ReplicationController) -> ReplicationController:
    """--rollback: mark `old` as the update of `new`, so that rolling_update(new, old) brings back what there was.

    Raises UpdateError when no update is under way.
    """
    if new.metadata.annotations.get(SOURCE) != old.metadata.name:
        raise UpdateError(f"{new.metadata.name} is no update of {old.metadata.name}: there is nothing to roll back")
    desired = new.metadata.annotations[DESIRED]

    def mark(each: ReplicationController) -> None:
        each.metadata.annotations |= {DESIRED: desired, SOURCE: new.metadata.name}

    turned = await _change(client, old, mark)
    await _clean(client, new)
    return turned


async def _clean(client: Client, new: ReplicationController) -> None:
    def forget(found: ReplicationController) -> None:
        for name in (DESIRED, SOURCE):
            found.metadata.annotations.pop(name, None)

    await _change(client, new, forget)


# -- --image: the same controller with another image --------------------------------------------------------------


def with_image(old: ReplicationController, image: str) -> ReplicationController:
    """`old` with another image for its one container, told apart by the label `deployment`. Raises UpdateError."""
    assert old.spec.template is not None
    if len(old.spec.template.spec.containers) != 1:
        raise UpdateError(f"{old.metadata.name} has several containers: expected a file instead of --image")
    new = _anew(old, old.metadata.name)
    assert new.spec.template is not None
    new.spec.template.spec.containers[0].image = image
    mark = _hash(new)
    new.metadata.name += f"-{mark}"
    for name in (DESIRED, SOURCE):
        new.metadata.annotations.pop(name, None)
    new.spec.selector |= {DEPLOYMENT: mark}
    new.spec.template.metadata.labels |= {DEPLOYMENT: mark}
    return new


def _hash(rc: ReplicationController) -> str:
    """Ten digits that stand for the template."""
    return hashlib.sha256(msgspec.json.encode(rc.spec.template)).hexdigest()[:10]


async def marked(client: Client, old: ReplicationController) -> ReplicationController:
    """The old controller and its pods with a label `deployment` of their own, unless they have one.

    First the template, so that new pods have it; then the pods; last the selector: at no time is a pod without a
    controller.
    """
    if DEPLOYMENT in old.spec.selector:
        return old
    mark, selector = _hash(old), dict(old.spec.selector)

    def label_template(found: ReplicationController) -> None:
        assert found.spec.template is not None
        found.spec.template.metadata.labels[DEPLOYMENT] = mark

    def narrow(found: ReplicationController) -> None:
        found.spec.selector[DEPLOYMENT] = mark

    await _change(client, old, label_template)
    await _label_pods(client, old.metadata.namespace, selector, mark)
    found = await _change(client, old, narrow)
    await _label_pods(client, old.metadata.namespace, selector, mark)  # made meanwhile, after the old template
    return found


async def _label_pods(client: Client, namespace: str, selector: Mapping[str, str], mark: str) -> None:
    chosen = ",".join(f"{name}={value}" for name, value in selector.items())
    for pod in (await client.list(Pod, namespace, f"{chosen},!{DEPLOYMENT}")).items:
        patch = msgspec.json.encode({"metadata": {"labels": {DEPLOYMENT: mark}}})
        path = f"/api/v1/namespaces/{namespace}/pods/{pod.metadata.name}"
        try:
            await client.raw("PATCH", path, body=patch, content_type="application/merge-patch+json")
        except NotFound:  # it ended
            continue


async def renamed(client: Client, rc: ReplicationController, name: str, times: Times, tell: Tell) -> None:
    """The same controller under the old name: deleted without its pods, and created again."""
    tell(f"Renaming {rc.metadata.name} to {name}")
    found = await client.get(ReplicationController, rc.metadata.name, rc.metadata.namespace)
    again = _anew(found, name)
    await _delete(client, found, times)
    await client.create(again)


def _anew(rc: ReplicationController, name: str) -> ReplicationController:
    """The same controller under another name, as if it had never been stored."""
    fresh = copy(rc)
    fresh.metadata = msgspec.structs.replace(
        fresh.metadata, name=name, uid="", resource_version="", self_link="", creation_timestamp=None, generation=None
    )
    fresh.status = type(fresh.status)()
    return fresh
