"""The objects of the cluster tests, and questions about them."""

from labkit.api.errors import NotFound
from labkit.api.types import (
    Container,
    ContainerPort,
    Endpoints,
    Event,
    ObjectMeta,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
    Service,
    ServicePort,
    ServiceSpec,
)
from labkit.client.rest import Client

WEB = {"app": "web"}


def pod_spec(**spec: object) -> PodSpec:
    container = Container(name="c", image="redis", ports=[ContainerPort(name="redis", container_port=6379)])
    return PodSpec(containers=[container], **spec)  # type: ignore[arg-type]


def pod(name: str, labels: dict[str, str] = WEB, **spec: object) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels=labels), spec=pod_spec(**spec))


def rc(replicas: int, name: str = "web", labels: dict[str, str] = WEB) -> ReplicationController:
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=pod_spec())
    return ReplicationController(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ReplicationControllerSpec(replicas=replicas, selector=labels, template=template),
    )


def service(name: str, labels: dict[str, str] = WEB, port: int = 6379) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ServiceSpec(selector=labels, ports=[ServicePort(port=port, target_port="redis")]),
    )


async def pods(client: Client, selector: str = "app=web") -> list[Pod]:
    return (await client.list(Pod, "default", label_selector=selector)).items


async def running(client: Client, selector: str = "app=web") -> list[Pod]:
    """The pods that run and are ready."""
    return [
        pod
        for pod in await pods(client, selector)
        if pod.status.phase == "Running"
        and any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
    ]


def names(pods: list[Pod]) -> set[str]:
    return {pod.metadata.name for pod in pods}


async def scale(client: Client, replicas: int, name: str = "web") -> ReplicationController:
    controller = await client.get(ReplicationController, name, "default")
    controller.spec.replicas = replicas
    controller.metadata.resource_version = ""  # whatever its controller has said of its status meanwhile
    return await client.update(controller)


async def addresses(client: Client, name: str) -> list[str]:
    """The ready addresses of a service; none while it has no endpoints."""
    try:
        endpoints = await client.get(Endpoints, name, "default")
    except NotFound:
        return []
    return sorted(address.ip for subset in endpoints.subsets for address in subset.addresses)


async def events(client: Client, reason: str) -> list[Event]:
    return (await client.list(Event, field_selector=f"reason={reason}")).items
