"""What every machine should be: its services, by its roles, and each with the files that it lives on.

`plan` compares this with the machine's facts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from labkit.cluster import Machine
from labkit.provision import glusterfs, own, wheels
from labkit.provision.boot import node_conf
from labkit.provision.pki import SERVICE_ACCOUNTS
from labkit.provision.registry import AUTH_FILE, PUSH
from labkit.provision.render import ETC, TEMPLATES, Renderer, Sources, credentials
from labkit.provision.service import File, Service


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


def desired(sources: Sources, machine: Machine) -> Desired:
    """What this machine should be."""
    render, cluster = Renderer(sources, machine), sources.cluster
    services = [*(_master(render) if machine.is_master else ()), kube_proxy(render)]
    services += [kubelet(render)] if machine.is_agent else []
    extra = [*(_admin(render) if machine.is_master else ()), *(_pull(render) if machine.is_agent else ())]
    if cluster.storage:
        is_server = machine in cluster.storage_servers
        services += [glusterfs.service(render)] if is_server else []
        extra += [] if is_server else glusterfs.files(render)
    conf = File("/etc/lab/node.conf", node_conf(cluster, machine).encode())
    return Desired(machine, conf, tuple(services), tuple(extra), sources.wheel.digest)


def _master(render: Renderer) -> Iterator[Service]:
    yield etcd(render)
    yield kube_apiserver(render)
    yield registry(render, "docker-registry", pushes=False)
    yield registry(render, "docker-registry-push", pushes=True)
    yield client(render, "kube-scheduler", "puts pods on nodes")
    keeper = "keeps what is asked for and what is there the same"
    yield client(render, "kube-controller-manager", keeper, _signing_key(render))
    yield client(render, "kube-dns", "names of services", capabilities="CAP_NET_BIND_SERVICE")
    for name in own.names(render.sources.cluster):
        yield own_component(render, name)


def etcd(render: Renderer) -> Service:
    pki = "/etc/etcd/pki"
    return Service(
        "etcd",
        (
            File("/etc/default/etcd", render("etcd/etcd.env.j2"), 0o600),
            render.certificate("etcd-ca", f"{pki}/ca.crt"),
            *render.pair("etcd", f"{pki}/server", "etcd"),
            *render.pair("etcd-operator", f"{pki}/operator", "root"),
        ),
    )


def kube_apiserver(render: Renderer) -> Service:
    pki = "/etc/kubernetes/pki"
    return render.component(
        "kube-apiserver",
        "the one door to the cluster's state",
        render.certificate("ca", f"{pki}/ca.crt"),
        *render.pair("kube-apiserver", f"{pki}/kube-apiserver", "root"),
        *render.pair("kube-apiserver-kubelet-client", f"{pki}/kube-apiserver-kubelet-client", "root"),
        render.certificate("etcd-ca", f"{pki}/etcd/ca.crt"),
        *render.pair("etcd-kube-apiserver", f"{pki}/etcd/kube-apiserver", "root"),
        File(f"{pki}/{SERVICE_ACCOUNTS}.pub", render.sources.pki.public_key(SERVICE_ACCOUNTS), 0o600),
        _signing_key(render),
        File("/etc/kubernetes/abac.jsonl", (TEMPLATES / "abac.jsonl").read_bytes(), 0o600),
        after="etcd.service",
    )


def _signing_key(render: Renderer) -> File:
    """It signs tokens: of secrets (kube-controller-manager) and those that are asked for (kube-apiserver)."""
    return File(f"/etc/kubernetes/pki/{SERVICE_ACCOUNTS}.key", render.sources.pki.key(SERVICE_ACCOUNTS), 0o600)


def client(render: Renderer, name: str, description: str, *more: File, capabilities: str = "") -> Service:
    """A component of the master that is a client of kube-apiserver and nothing else."""
    files = render.identity(name, name, credentials(name))
    return render.component(name, description, *files, *more, after="kube-apiserver.service", capabilities=capabilities)


def own_component(render: Renderer, name: str) -> Service:
    """A file that somebody pushed; restarted when it changes."""
    who = f"own-{name}"
    return render.component(
        name,
        "somebody's own",
        File(f"{ETC}own/{name}.py", own.content(render.sources.cluster, name), 0o600),
        *render.identity(who, who, credentials(name)),
        after="kube-apiserver.service",
        module="labkit.client.own_component",
        env="own",
    )


def kube_proxy(render: Renderer) -> Service:
    files = render.identity(f"{render.machine.name}-kube-proxy", "kube-proxy")
    return render.component("kube-proxy", "the addresses of services", *files, after="docker.service", user="root")


def kubelet(render: Renderer) -> Service:
    name = render.machine.name
    return render.component(
        "kubelet",
        "the pods of this node",
        *render.identity(f"{name}-kubelet", "kubelet"),
        *render.pair(f"{name}-kubelet-serving", "/etc/kubernetes/pki/kubelet-serving", "root"),
        after="docker.service",
        user="root",
    )


def registry(render: Renderer, name: str, pushes: bool) -> Service:
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
    else:
        drop_in = (TEMPLATES / "units" / "docker-registry.conf").read_bytes()
        files.append(File("/etc/systemd/system/docker-registry.service.d/labkit.conf", drop_in))
    return Service(name, tuple(files))


def _admin(render: Renderer) -> Iterator[File]:
    """kubectl works for root on the master."""
    yield from render.identity("admin", "admin")
    yield File("/root/.kube/config", render.kubeconfig("admin"), 0o600)


def _pull(render: Renderer) -> Iterator[File]:
    """docker trusts the master's registry."""
    cluster = render.sources.cluster
    yield render.certificate("ca", f"/etc/docker/certs.d/{cluster.master.address}:{cluster.registry.port}/ca.crt")
