"""`labkit hollow --nodes 100`: more nodes for a cluster that runs, without machines (components/kubelet/hollow.py)."""

import subprocess
import sys

from labkit.cluster import Cluster, write_private
from labkit.provision.admin import kubeconfig


def run(cluster: Cluster, nodes: int, start_seconds: float) -> int:
    """In the foreground, on this host, with the admin's rights, until Ctrl-C; its exit code."""
    path = cluster.state / "kubeconfig"
    write_private(path, kubeconfig(cluster).encode())
    command = [sys.executable, "-m", "labkit.components.kubelet.hollow", f"--kubeconfig={path}", f"--nodes={nodes}"]
    with subprocess.Popen([*command, f"--start-time={start_seconds}"]) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the process has it too, and removes its nodes
                continue
