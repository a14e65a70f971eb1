"""Which services a machine runs: its roles say so."""

from labkit.cluster import Machine

MASTER_UNITS = (
    "etcd",
    "kube-apiserver",
    "docker-registry",
    "docker-registry-push",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-dns",
)


def unit_names(machine: Machine) -> list[str]:
    """The services that the machine runs, by its roles."""
    return [*(MASTER_UNITS if machine.is_master else ()), "kube-proxy", *(["kubelet"] if machine.is_agent else [])]
