"""A whole scheduler: pods with `schedulerName: my-scheduler` go to the node with the fewest pods.

labkit push examples/my_scheduler.py
"""

from collections import Counter

from labkit.api.types import Node, Pod, key
from labkit.client.controller import control
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client


async def run(client: Client) -> None:
    pods, nodes, queue = Informer(client, Pod), Informer(client, Node), WorkQueue()

    def pod_changed(old: Pod | None, new: Pod | None) -> None:
        if new and new.spec.scheduler_name == "my-scheduler" and not new.spec.node_name:
            queue.add(key(new), cause="a pod without a node")

    async def sync(name: str) -> None:
        pod = pods.store.get(name)
        if pod is None or pod.spec.node_name:
            return
        count = Counter(other.spec.node_name for other in pods.store.values())
        if nodes.store:
            await client.bind(pod, min(nodes.store, key=lambda node: count[node]))
        else:
            queue.add_after(name, 1.0, cause="no node yet")

    pods.on_change(pod_changed)
    await control("my-scheduler", queue, sync, pods, nodes)
