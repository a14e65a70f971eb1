"""From templates and certificates to the files of one machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from labkit.cluster import Cluster, Machine
from labkit.provision import wheels
from labkit.provision.libvirt import patience
from labkit.provision.pki import Pki
from labkit.provision.registry import Credentials
from labkit.provision.service import File, Service

ETC = "/etc/kubernetes/"
"""Everything below is root's alone; a unit with another user is handed copies of what it needs."""
TEMPLATES = Path(__file__).parent.parent / "templates"
TIMINGS: dict[str, dict[str, str]] = {
    "historic": {
        "node_status_update_frequency": "10",
        "node_monitor_period": "5s",
        "node_monitor_grace_period": "40s",
        "pod_eviction_timeout": "5m",
    },
    "classroom": {
        "node_status_update_frequency": "4",
        "node_monitor_period": "2s",
        "node_monitor_grace_period": "16s",
        "pod_eviction_timeout": "20s",
    },
}
"""The kubelet's flag is in seconds. `classroom` plays a node's failure through in under a minute."""


@dataclass(frozen=True)
class Sources:
    """Where the content of files comes from."""

    cluster: Cluster
    pki: Pki
    credentials: Credentials
    wheel: wheels.Wheel
    """labkit's own."""


class Renderer:
    """Templates and certificates of one machine."""

    def __init__(self, sources: Sources, machine: Machine) -> None:
        self.sources = sources
        self.machine = machine
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  units and environment files, not HTML
        )

    def __call__(self, template: str, **values: Any) -> bytes:
        cluster = self.sources.cluster
        given = {
            "cluster": cluster, "machine": self.machine, "timing": TIMINGS[cluster.timing],
            "patience": patience(cluster),
        } | values  # fmt: skip
        return self.environment.get_template(template).render(given).encode()

    def component(
        self,
        name: str,
        description: str,
        *files: File,
        after: str,
        user: str = "kube",
        capabilities: str = "",
        module: str = "",
        env: str = "",
    ) -> Service:
        """A service of ours: the same unit for all, an environment file of its own.

        module: what Python runs, by default the component of that name; env: the template of the environment.

        A user other than root sees none of its files, only what systemd hands it: see `credential`.
        """
        package = name.replace("-", "_")
        unit = self(
            "units/component.service.j2",
            name=name,
            module=module or f"labkit.components.{package}",
            description=description,
            after=after,
            user=user,
            capabilities=capabilities,
            credentials=[(credential(file.path), file.path) for file in files] if user != "root" else [],
        )
        environment = self(f"env/{env or name}.env.j2", name=name, credentials=credentials(name))
        own = (
            File(f"/etc/systemd/system/{name}.service", unit, 0o600),
            File(f"{ETC}{name}.env", environment, 0o600),
        )
        code = f"{self.sources.wheel.code_digest(package)} {wheels.lock_digest()}"
        return Service(name, (*own, *files), code, user)

    def certificate(self, name: str, path: str) -> File:
        return File(path, self.sources.pki.certificate(name), 0o600 if path.startswith(ETC) else 0o644)

    def pair(self, name: str, stem: str, owner: str) -> tuple[File, File]:
        """A certificate for all to see and its key for one user."""
        return self.certificate(name, f"{stem}.crt"), File(f"{stem}.key", self.sources.pki.key(name), 0o600, owner)

    def kubeconfig(self, user: str, folder: str = f"{ETC}pki") -> bytes:
        """folder: where its CA, certificate and key are for the one who reads it."""
        cluster = self.sources.cluster
        server = f"https://{cluster.master.address}:{cluster.apiserver.port}"
        return self("kubeconfig.j2", user=user, server=server, folder=folder)

    def identity(self, certificate: str, user: str, folder: str = f"{ETC}pki") -> tuple[File, ...]:
        """What a client of kube-apiserver needs: CA, certificate, key and the kubeconfig that names them."""
        pki = f"{ETC}pki"
        return (
            self.certificate("ca", f"{pki}/ca.crt"),
            *self.pair(certificate, f"{pki}/{user}", "root"),
            File(f"{ETC}{user}.kubeconfig", self.kubeconfig(user, folder), 0o600),
        )


def credentials(service: str) -> str:
    """The folder of what systemd hands to a service: copies that only its user can read and nobody can change."""
    return f"/run/credentials/{service}.service"


def credential(path: str) -> str:
    """A file's name there: `etcd-ca.crt` of /etc/kubernetes/pki/etcd/ca.crt."""
    return path.removeprefix(ETC).removeprefix("pki/").replace("/", "-")
