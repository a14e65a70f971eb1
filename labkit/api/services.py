"""What several components ask of a Service."""

from labkit.api.types import Service

HEADLESS = "None"  # a Service's clusterIP when its name is to lead to its pods, with no address between


def cluster_ip(service: Service | None) -> str:
    """The one address of a service; "" for one that has none (yet), is headless, or is gone."""
    ip = service.spec.cluster_ip if service else ""
    return "" if ip == HEADLESS else ip
