"""What every machine should be: its services, each with the files it lives on.

    Service("kube-proxy", files = unit, env, kubeconfig, certificate, key; code = that of components/kube_proxy)

A service's digest covers its files, its component's code and the locked dependencies: when it changes, and only then,
the service is restarted. What each machine runs follows from its roles.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from labkit.cluster import Cluster, Machine
from labkit.provision import wheels
from labkit.provision.boot import node_conf
from labkit.provision.pki import Pki
from labkit.provision.registry import AUTH_FILE, PUSH, Credentials

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


@dataclass(frozen=True)
class File:
    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Service:
    """A systemd unit. `code` is the digest of what it runs, empty for Debian's own services."""

    name: str
    files: tuple[File, ...]
    code: str = ""

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path} {file.mode:o} {file.owner} {file.digest}\n".encode())
        digest.update(self.code.encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Desired:
    """One machine. boot_conf: the file that its boot units read; labkit, lock: digests of what is in its venv."""

    machine: Machine
    boot_conf: File
    services: tuple[Service, ...]
    files: tuple[File, ...] = ()
    labkit: str = ""
    lock: str = field(default_factory=wheels.lock_digest)

    def all_files(self) -> list[File]:
        """Every managed file once, by path, the boot file aside."""
        found = {file.path: file for service in self.services for file in service.files}
        return list((found | {file.path: file for file in self.files}).values())

    def paths(self) -> list[str]:
        return [file.path for file in (self.boot_conf, *self.all_files())]

    def unit_names(self) -> list[str]:
        return [service.name for service in self.services]


@dataclass(frozen=True)
class Sources:
    """Where the content of files comes from."""

    cluster: Cluster
    pki: Pki
    credentials: Credentials
    wheel: wheels.Wheel
    """labkit's own."""


def desired(sources: Sources, machine: Machine) -> Desired:
    """What this machine should be."""
    render = _Renderer(sources, machine)
    services = [*(_master(render) if machine.is_master else ()), kube_proxy(render)]
    services += [kubelet(render)] if machine.is_agent else []
    extra = [*(_admin(render) if machine.is_master else ()), *(_pull(render) if machine.is_agent else ())]
    conf = File("/etc/lab/node.conf", node_conf(sources.cluster, machine).encode())
    return Desired(machine, conf, tuple(services), tuple(extra), sources.wheel.digest)


def _master(render: "_Renderer") -> Iterator[Service]:
    yield etcd(render)
    yield kube_apiserver(render)
    yield registry(render, "docker-registry", pushes=False)
    yield registry(render, "docker-registry-push", pushes=True)
    yield client(render, "kube-scheduler", "puts pods on nodes")
    yield client(render, "kube-controller-manager", "keeps what is asked for and what is there the same")
    yield client(render, "kube-dns", "names of services", capabilities="CAP_NET_BIND_SERVICE")


def etcd(render: "_Renderer") -> Service:
    pki = "/etc/etcd/pki"
    return Service(
        "etcd",
        (
            File("/etc/default/etcd", render("etcd/etcd.env.j2")),
            render.certificate("etcd-ca", f"{pki}/ca.crt"),
            *render.pair("etcd", f"{pki}/server", "etcd"),
            *render.pair("etcd-operator", f"{pki}/operator", "root"),
        ),
    )


def kube_apiserver(render: "_Renderer") -> Service:
    pki = "/etc/kubernetes/pki"
    return render.component(
        "kube-apiserver",
        "the one door to the cluster's state",
        render.certificate("ca", f"{pki}/ca.crt"),
        *render.pair("kube-apiserver", f"{pki}/kube-apiserver", "kube"),
        *render.pair("kube-apiserver-kubelet-client", f"{pki}/kube-apiserver-kubelet-client", "kube"),
        render.certificate("etcd-ca", f"{pki}/etcd/ca.crt"),
        *render.pair("etcd-kube-apiserver", f"{pki}/etcd/kube-apiserver", "kube"),
        File("/etc/kubernetes/abac.jsonl", (TEMPLATES / "abac.jsonl").read_bytes()),
        after="etcd.service",
    )


def client(render: "_Renderer", name: str, description: str, capabilities: str = "") -> Service:
    """A component of the master that is a client of kube-apiserver and nothing else."""
    files = render.identity(name, name, "kube")
    return render.component(name, description, *files, after="kube-apiserver.service", capabilities=capabilities)


def kube_proxy(render: "_Renderer") -> Service:
    files = render.identity(f"{render.machine.name}-kube-proxy", "kube-proxy", "root")
    return render.component("kube-proxy", "the addresses of services", *files, after="docker.service", user="root")


def kubelet(render: "_Renderer") -> Service:
    name = render.machine.name
    return render.component(
        "kubelet",
        "the pods of this node",
        *render.identity(f"{name}-kubelet", "kubelet", "root"),
        *render.pair(f"{name}-kubelet-serving", "/etc/kubernetes/pki/kubelet-serving", "root"),
        after="docker.service",
        user="root",
    )


def registry(render: "_Renderer", name: str, pushes: bool) -> Service:
    """One door of the registry. Its certificate is the cluster's; both doors share the store."""
    folder, owner = "/etc/docker/registry", "docker-registry"
    cluster = render.sources.cluster
    address = PUSH if pushes else f"{cluster.master.address}:{cluster.registry.port}"
    config = render("registry/registry.yml.j2", address=address, pushes=pushes)
    files = [
        File(f"{folder}/{'push' if pushes else 'config'}.yml", config),
        *render.pair("registry", f"{folder}/pki/registry", owner),
    ]
    if pushes:
        secret = render.sources.credentials
        files += [
            File("/etc/systemd/system/docker-registry-push.service", render("units/docker-registry-push.service.j2")),
            File(f"{folder}/htpasswd", secret.htpasswd.encode(), 0o600, owner),
            render.certificate("ca", f"{folder}/trust/ca.crt"),
            File(AUTH_FILE, secret.auth_file(), 0o600),
        ]
    return Service(name, tuple(files))


def _admin(render: "_Renderer") -> Iterator[File]:
    """kubectl works for root on the master."""
    yield from render.identity("admin", "admin", "root")
    yield File("/root/.kube/config", render.kubeconfig("admin"), 0o600)


def _pull(render: "_Renderer") -> Iterator[File]:
    """docker trusts the master's registry."""
    cluster = render.sources.cluster
    yield render.certificate("ca", f"/etc/docker/certs.d/{cluster.master.address}:{cluster.registry.port}/ca.crt")


class _Renderer:
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
        given = {"cluster": cluster, "machine": self.machine, "timing": TIMINGS[cluster.timing]} | values
        return self.environment.get_template(template).render(given).encode()

    def component(
        self, name: str, description: str, *files: File, after: str, user: str = "kube", capabilities: str = ""
    ) -> Service:
        """A service of ours: the same unit for all, an environment file of its own."""
        package = name.replace("-", "_")
        unit = self(
            "units/component.service.j2",
            name=name,
            package=package,
            description=description,
            after=after,
            user=user,
            capabilities=capabilities,
        )
        env = self(f"env/{name}.env.j2")
        own = (File(f"/etc/systemd/system/{name}.service", unit), File(f"/etc/kubernetes/{name}.env", env))
        code = f"{self.sources.wheel.code_digest(package)} {wheels.lock_digest()}"
        return Service(name, (*own, *files), code)

    def certificate(self, name: str, path: str) -> File:
        return File(path, self.sources.pki.certificate(name))

    def pair(self, name: str, stem: str, owner: str) -> tuple[File, File]:
        """A certificate for all to see and its key for one user."""
        return self.certificate(name, f"{stem}.crt"), File(f"{stem}.key", self.sources.pki.key(name), 0o600, owner)

    def kubeconfig(self, user: str) -> bytes:
        cluster = self.sources.cluster
        server = f"https://{cluster.master.address}:{cluster.apiserver.port}"
        return self("kubeconfig.j2", user=user, server=server)

    def identity(self, certificate: str, user: str, owner: str) -> tuple[File, ...]:
        """What a client of kube-apiserver needs: CA, certificate, key and the kubeconfig that names them."""
        pki = "/etc/kubernetes/pki"
        return (
            self.certificate("ca", f"{pki}/ca.crt"),
            *self.pair(certificate, f"{pki}/{user}", owner),
            File(f"/etc/kubernetes/{user}.kubeconfig", self.kubeconfig(user), 0o600, owner),
        )
