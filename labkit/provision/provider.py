"""What makes the machines, and where kube-apiserver is reached: the one place that knows which provider does what.

machines(cluster).up()     Vagrant makes containers and virtual machines; Hosts takes those that are there (ssh)
"""

from collections.abc import Iterable
from typing import Protocol

from labkit.cluster import Cluster
from labkit.cluster_rules import EXISTING
from labkit.provision.existing.hosts import Hosts
from labkit.provision.process import OnLine
from labkit.provision.vagrant import Vagrant


class Machines(Protocol):
    """One cluster's machines. Every method is bounded in time; `on_line` gets progress as it comes."""

    def up(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> bool:
        """Machines that run, and are ready to be made what they should be; whether anything had to be done."""

    def settle(self) -> None:
        """They are what they should be: what was changed until now is known to be ours."""

    def halt(self, machines: Iterable[str] | None = None, on_line: OnLine | None = None) -> None: ...

    def suspend(self, on_line: OnLine | None = None) -> list[str]: ...

    def resume(self, on_line: OnLine | None = None) -> list[str]: ...

    def remove(self, machine: str, on_line: OnLine | None = None) -> None: ...

    def snapshot(self, verb: str, name: str, on_line: OnLine | None = None) -> None: ...

    def destroy(self, on_line: OnLine | None = None) -> None: ...

    def status(self) -> dict[str, str]:
        """running, stopped, not_created, or a provider's own word."""


def machines(cluster: Cluster) -> Machines:
    return Hosts(cluster) if cluster.provider == EXISTING else Vagrant(cluster)
