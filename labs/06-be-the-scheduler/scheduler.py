"""A scheduler of your own, for pods with `schedulerName: mine`."""

from labkit.api.types import Node, Pod, key
from labkit.client.controller import control
from labkit.client.informer import Informer
from labkit.client.queue import WorkQueue


def choose(pod, nodes, pods):
    """The name of one of the `nodes` for the pod; `pods` are all that there are."""
    return min(nodes)


async def run(client):
    pods, nodes, queue = Informer(client, Pod), Informer(client, Node), WorkQueue()

    def pod_changed(old, new):
        if new and new.spec.scheduler_name == "mine" and not new.spec.node_name:
            queue.add(key(new), cause="a pod without a node")

    async def sync(name):
        pod = pods.store.get(name)
        if pod and not pod.spec.node_name:
            await client.bind(pod, choose(pod, list(nodes.store), list(pods.store.values())))

    pods.on_change(pod_changed)
    await control("mine", queue, sync, pods, nodes)
