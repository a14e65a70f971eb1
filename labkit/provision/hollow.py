"""`labkit hollow --nodes 100`: more nodes for a cluster that runs, without machines.

Two processes: the kubelets (components/kubelet/hollow.py) and the kube-proxies (components/kube_proxy/hollow.py).
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from labkit.cluster import Cluster, write_private
from labkit.provision.admin import kubeconfig

ENDS_WITHIN = 20  # seconds


def run(cluster: Cluster, nodes: int, start_seconds: float, *, proxies: bool = True) -> int:
    """In the foreground, on this host, with the admin's rights, until Ctrl-C; the kubelets' exit code."""
    path = cluster.state / "kubeconfig"
    write_private(path, kubeconfig(cluster).encode())
    given = [f"--kubeconfig={path}", f"--nodes={nodes}"]
    kubelets = _command("kubelet", *given, f"--start-time={start_seconds}")
    with subprocess.Popen(kubelets) as process, _beside(_command("kube_proxy", *given) if proxies else []):
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the processes have it too; the kubelets remove their nodes
                continue


def _command(component: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", f"labkit.components.{component}.hollow", *flags]


@contextlib.contextmanager
def _beside(command: list[str]) -> Iterator[None]:
    """A process that lives as long as the block."""
    if not command:
        yield
        return
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
