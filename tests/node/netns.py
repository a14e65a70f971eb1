"""Network namespaces of a test's own: a machine with a pod bridge, two pods, and another machine outside.

    pod-a 10.244.2.2 --+
                       +-- cbr0 10.244.2.1/24 [node] eth0 10.245.1.12/24 -------- eth0 10.245.1.13/24 [outside]
    pod-b 10.244.2.3 --+   REJECTs services that do not exist

As labkit's machines do, the node has a default route to nobody and refuses addresses of the service range that no
rule rewrites. Needs root. Everything is gone when the block ends.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NODE_IP, OUTSIDE_IP = "10.245.1.12", "10.245.1.13"
POD_IPS = {"pod-a": "10.244.2.2", "pod-b": "10.244.2.3"}
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Netns:
    """One namespace, by its name in `ip netns`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, text: str | None = None) -> str:
        """What a command run inside says; CalledProcessError when it fails."""
        done = subprocess.run(
            self.command(*command), input=text, text=True, timeout=20, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)} in {self.name}: {done.stdout}"
        return done.stdout

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def call(self, function: Callable[[], T]) -> T:
        """The result of a function that runs inside: sockets that it opens belong to the namespace for ever."""
        box: list[T] = []
        trouble: list[BaseException] = []
        thread = threading.Thread(target=self._enter_and_call, args=(function, box, trouble))
        thread.start()
        thread.join()
        if trouble:
            raise trouble[0]
        return box[0]

    def _enter_and_call(self, function: Callable[[], T], box: list[T], trouble: list[BaseException]) -> None:
        try:
            with Path(f"/run/netns/{self.name}").open() as handle:
                if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            box.append(function())
        except BaseException as exc:  # handed to the caller's thread
            trouble.append(exc)


@contextmanager
def namespace(name: str) -> Iterator[Netns]:
    """A namespace with its loopback up."""
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
    try:
        made = Netns(name)
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True, timeout=10)


@contextmanager
def machine() -> Iterator[dict[str, Netns]]:
    """The picture above: node, pod-a, pod-b and outside, by these names."""
    mark = f"lk{os.getpid()}"
    with (
        namespace(f"{mark}-node") as node,
        namespace(f"{mark}-pod-a") as pod_a,
        namespace(f"{mark}-pod-b") as pod_b,
        namespace(f"{mark}-outside") as outside,
    ):
        node.run("sh", "-ec", _NODE)
        for pod, ip in ((pod_a, POD_IPS["pod-a"]), (pod_b, POD_IPS["pod-b"])):
            _cable(node, f"veth{ip[-1]}", pod)
            node.run("ip", "link", "set", f"veth{ip[-1]}", "master", "cbr0")
            node.run("ip", "link", "set", f"veth{ip[-1]}", "type", "bridge_slave", "hairpin", "on")
            pod.run("sh", "-ec", f"ip addr add {ip}/24 dev eth0; ip route add default via 10.244.2.1")
        _cable(node, "eth0", outside)
        node.run("sh", "-ec", f"ip addr add {NODE_IP}/24 dev eth0; ip route add default via 10.245.1.254")
        outside.run("sh", "-ec", f"ip addr add {OUTSIDE_IP}/24 dev eth0; ip route add default via {NODE_IP}")
        yield {"node": node, "pod-a": pod_a, "pod-b": pod_b, "outside": outside}


def _cable(one: Netns, name: str, other: Netns) -> None:
    """A cable from `name` in one namespace to eth0 in the other."""
    one.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", other.name)
    one.run("ip", "link", "set", name, "up")
    other.run("ip", "link", "set", "eth0", "up")


_NODE = """
ip link add cbr0 type bridge
ip addr add 10.244.2.1/24 dev cbr0
ip link set cbr0 up
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
for chain in OUTPUT FORWARD; do iptables -A $chain -d 10.0.0.0/16 -j REJECT --reject-with icmp-port-unreachable; done
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 10.244.2.0/24 ! -d 10.244.0.0/16 -j MASQUERADE
"""
