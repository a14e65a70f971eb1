"""From names to addresses: where the request starts, where it is sent, and who should answer.

What cannot be asked is refused here, before anything is sent: a name that nothing has (with those that come near), a
pod that does not run, an address outside of the lab, and from the host anything but a machine's own address.
"""

import ipaddress
from dataclasses import dataclass, field

from labkit.api.types import Pod, Service, ServicePort, key
from labkit.cluster import Cluster, Machine
from labkit.observe.ends import From, To
from labkit.observe.objects import NOT_WELL, Objects, Refused, addresses, backends, named, near, own_ip, within


@dataclass
class Question:
    """One request. target, backends: IP:PORT. machine: whose rules give it its way: where it starts, or arrives."""

    start: From
    machine: Machine
    target: str
    protocol: str
    service: Service | None = None
    port: ServicePort | None = None
    backends: list[str] = field(default_factory=list)
    pod: Pod | None = None
    """The client, if it is one."""
    unusable: list[str] = field(default_factory=list)
    """Endpoints that no kube-proxy uses: of the loopback, of the service range."""
    sender: Machine | None = None
    """Where it starts, if it goes to another machine's node port from there."""

    @property
    def port_name(self) -> str:
        """`default/redis-master:`, as comments of rules have it."""
        return f"{key(self.service)}:{self.port.name}" if self.service and self.port else ""

    @property
    def to(self) -> str:
        """For people: the service's port, and the address if it is not the service's own."""
        if not (self.service and self.port):
            return self.target
        by = f" by {self.target}" if self.target != f"{self.service.spec.cluster_ip}:{self.port.port}" else ""
        return f"{key(self.service)}:{self.port.port}{by}"


def ask(start: From, to: To, objects: Objects, cluster: Cluster, via: str = "") -> Question:
    """The question in addresses. via: go through the node port of this machine. Raises Refused."""
    pod = _client(start, objects) if start.kind == "pod" else None
    if pod:
        start = From("pod", pod.metadata.name, pod.metadata.namespace)
    machine = _machine(start, pod, cluster, via)
    service, port = _service(to, objects, cluster)
    target = to.ip and f"{to.ip}:{to.port}"
    if service and port:
        if via or (start.kind == "host" and not target):
            target = _door(service, port, machine, via, cluster)
        target = target or f"{own_ip(service)}:{port.port}"
    _must_stay_inside(start, target, cluster)
    sender, machine = _ways(start, target, port, machine, cluster)
    found = backends(service, port, objects) if service and port else [target]
    bad = [each for each in found if not _usable(each, cluster)] if service else []
    found = [each for each in found if each not in bad]
    protocol = "udp" if port and port.protocol == "UDP" else "tcp"
    return Question(start, machine, target, protocol, service, port, found, pod, bad, sender)


def _ways(
    start: From, target: str, port: ServicePort | None, machine: Machine, cluster: Cluster
) -> tuple[Machine | None, Machine]:
    """The machine that sends, if not the one whose rules count, and that one: a node port's packets are let out by
    the first machine as they are."""
    ip, _, number = target.partition(":")
    owner = next((each for each in cluster.machines if each.address == ip), machine)
    if start.kind == "host":
        return None, owner
    if port and number == str(port.node_port) and owner != machine:
        return machine, owner
    return None, machine


def starting_point(start: From, objects: Objects, cluster: Cluster) -> tuple[Pod | None, Machine]:
    """The pod, if one asks, and the machine. Raises Refused."""
    pod = _client(start, objects) if start.kind == "pod" else None
    return pod, _machine(start, pod, cluster, "")


def _client(start: From, objects: Objects) -> Pod:
    if "=" in start.name:
        return _labelled(start, objects)
    pod = named(start.name, start.namespace, objects.pods, "pod")
    if pod.status.phase != "Running":
        where = f"on {pod.spec.node_name}" if pod.spec.node_name else "no machine was found for it yet"
        raise Refused(
            f"pod {key(pod)} is {pod.status.phase or 'not known to any kubelet'} ({where}); a request needs one"
            f" that runs: kubectl describe pod {pod.metadata.name} --namespace={pod.metadata.namespace}", NOT_WELL,
        )  # fmt: skip
    return pod


def _labelled(start: From, objects: Objects) -> Pod:
    """The first by name of the pods with the label that run."""
    label, _, value = start.name.partition("=")
    pods = [pod for pod in objects.pods if pod.metadata.namespace == start.namespace and pod.status.phase == "Running"]
    found = [pod for pod in pods if (pod.metadata.labels or {}).get(label) == value]
    if not found:
        raise Refused(f"no pod with the label {start.name} runs in {start.namespace}: kubectl get pods -l {start.name}",
                      NOT_WELL)  # fmt: skip
    return min(found, key=key)


def _machine(start: From, pod: Pod | None, cluster: Cluster, via: str) -> Machine:
    name = pod.spec.node_name if pod else start.name if start.kind == "node" else via or _first(cluster).name
    try:
        return cluster.machine(name)
    except KeyError as exc:
        raise Refused(f"{exc.args[0]}{near(name, [each.name for each in cluster.machines])}") from exc


def _first(cluster: Cluster) -> Machine:
    return (cluster.agents or cluster.machines)[0]


def _service(to: To, objects: Objects, cluster: Cluster) -> tuple[Service | None, ServicePort | None]:
    if to.ip:
        return _owner(to, objects, cluster)
    service = named(to.service, to.namespace, objects.services, "service")
    ports = service.spec.ports
    found = [each for each in ports if to.port in (str(each.port), each.name)] if to.port else ports
    if len(found) == 1 or (found and to.port):
        return service, found[0]
    listed = ", ".join(f"{each.port}{f' ({each.name})' if each.name else ''}" for each in ports) or "no ports"
    if not to.port:
        raise Refused(f"service {key(service)} has several ports, choose one: {listed}")
    if door := next((each for each in ports if str(each.node_port) == to.port), None):
        raise Refused(
            f"{to.port} is the node port of {key(service)}:{door.port}: --via {_first(cluster).name} goes through it"
        )
    raise Refused(f"service {key(service)} has no port {to.port}: it has {listed}")


def _owner(to: To, objects: Objects, cluster: Cluster) -> tuple[Service | None, ServicePort | None]:
    """Whose address that is: a service's own, or a machine's with a node port."""
    machines = [machine.address for machine in cluster.machines]
    for service in objects.services:
        for port in service.spec.ports:
            own = to.ip in addresses(service) and to.port == str(port.port)
            if own or (to.ip in machines and to.port == str(port.node_port)):
                return service, port
    if within(to.ip, cluster.networks.services):
        holders = [f"{key(each)} on {_ports(each)}" for each in objects.services if to.ip in addresses(each)]
        raise Refused(
            f"no service has {to}"
            + (f": {to.ip} is {holders[0]}" if holders else f", nor {to.ip} at all: kubectl get services")
        )
    return None, None


def _door(service: Service, port: ServicePort, machine: Machine, via: str, cluster: Cluster) -> str:
    """A machine's address at which the service is reached from anywhere: its node port, else a public IP."""
    door = _machine(From("node", via), None, cluster, "") if via else machine
    if port.node_port:
        return f"{door.address}:{port.node_port}"
    for each in [door] if via else cluster.machines:
        if each.address in addresses(service):
            return f"{each.address}:{port.port}"
    name = f"{service.metadata.namespace}/{service.metadata.name}"
    raise Refused(
        f"service {name} has neither a node port nor a machine's address among its public IPs; {own_ip(service)}"
        " means nothing outside of the machines, so nothing was sent. From one of them:"
        f" labkit packet node/{door.name} {name}:{port.port}; or make it a service of type NodePort"
    )


def _must_stay_inside(start: From, target: str, cluster: Cluster) -> None:
    ip = target.partition(":")[0]
    if start.kind == "host" and ip not in [machine.address for machine in cluster.machines]:
        where = (
            "is in the service range, which only the machines know"
            if within(ip, cluster.networks.services)
            else "is no machine's"
        )
        listed = ", ".join(f"{machine.name} {machine.address}" for machine in cluster.machines)
        raise Refused(
            f"from the host, requests go only to a machine's own address ({listed}); {ip} {where}: nothing was sent"
        )
    networks = cluster.networks
    inside = any(within(ip, network) for network in (networks.machines, networks.pods, networks.services))
    if not inside:
        raise Refused(
            f"{ip} is outside of the lab ({networks.machines}, {networks.pods}, {networks.services}): nothing was sent"
        )


def _usable(address: str, cluster: Cluster) -> bool:
    """Not a machine's own loopback, where private things listen, nor a service, which would be a circle."""
    ip = address.partition(":")[0]
    return not ipaddress.ip_address(ip).is_loopback and not within(ip, cluster.networks.services)


def _ports(service: Service) -> str:
    return ", ".join(f"{each.port}/{each.protocol}" for each in service.spec.ports)
