"""One node on this machine: etcd, kube-apiserver and kubelet as processes, real docker; and a kubectl to ask with."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labkit.components.kubelet.mounts import LinuxMounts
from tests.node.apiserver import ApiServer, api_server
from tests.node.pod_images import BUSYBOX, PAUSE, pod_images
from tests.node.real_etcd import Authority, etcd_server, free_port
from tests.node.test_runtime_contract import remove_containers_of

SHELL = "echo up; trap 'exit 0' TERM; while true; do sleep 0.2; done"


def container(name: str, command: list[str], **fields: object) -> dict[str, object]:
    return {"name": name, "image": BUSYBOX, "command": command} | fields


def pod(node: str, name: str, *containers: dict[str, object], **fields: object) -> dict[str, object]:
    """A pod that needs no scheduler."""
    spec = {"nodeName": node, "containers": list(containers)} | fields
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@dataclass
class Kubelet:
    """One process; `stop()` and `start()` keep its port and its pods."""

    server: ApiServer
    node: str
    port: int
    flags: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    healthz: int = field(default_factory=free_port)

    @property
    def log(self) -> Path:
        return self.server.folder / "kubelet.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        folder, authority = self.server.folder, self.server.authority
        certificate, key = authority.issue("kubelet-server")
        config = self.server.kubeconfig("kubelet", "system:masters")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labkit.components.kubelet", f"--kubeconfig={config}",
                 f"--hostname-override={self.node}", f"--port={self.port}", f"--healthz-port={self.healthz}",
                 f"--root-dir={folder}/root", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
                 f"--client-ca-file={authority.ca}", f"--pod-infra-container-image={PAUSE}", *self.flags],
                stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)
        self.process = None


@dataclass
class OneNode:
    server: ApiServer
    kubelet: Kubelet

    @property
    def name(self) -> str:
        return self.kubelet.node

    @property
    def pids(self) -> tuple[int, int]:
        """Of kube-apiserver and kubelet."""
        assert self.server.process is not None
        return self.server.process.pid, self.kubelet.pid

    def kubectl(self, binary: str, home: Path) -> "Kubectl":
        config = self.server.kubeconfig("admin", "system:masters")
        return Kubectl(binary, {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(config)})


@contextlib.contextmanager
def one_node(
    folder: Path, node: str, *, loop: str = "uvloop", flags: tuple[str, ...] = (), kubelet_flags: tuple[str, ...] = ()
) -> Iterator[OneNode]:
    """`flags`: more of kube-apiserver's. At the end both processes must be alive, without a bug in their logs."""
    (folder / "etcd-ca").mkdir()
    (folder / "ca").mkdir()
    authority, port = Authority(folder / "ca"), free_port()
    with (
        pod_images(),
        etcd_server(folder, Authority(folder / "etcd-ca")) as etcd,
        api_server(folder, etcd, authority, kubelet_port=port, flags=(f"--loop={loop}", *flags)) as server,
    ):
        kubelet = Kubelet(server, node, port, (f"--loop={loop}", *kubelet_flags))
        kubelet.start()
        try:
            yield OneNode(server, kubelet)
            assert kubelet.process is not None
            assert kubelet.process.poll() is None, kubelet.log.read_text()[-3000:]
            assert "Traceback" not in kubelet.log.read_text()
            assert "bug" not in server.log.read_text()
        finally:
            if kubelet.process is not None:
                kubelet.stop()
            remove_containers_of(node)
            for mounted in LinuxMounts().below(folder):  # a kubelet that is killed leaves its pods' volumes
                LinuxMounts().end(mounted.path)


class Kubectl:
    """`kubectl("get", "pods")` -> what it prints; a `code` other than 0 has to be expected."""

    def __init__(self, binary: str, environment: dict[str, str]) -> None:
        self.binary = binary
        self.environment = environment

    def __call__(self, *words: str, input: bytes = b"", code: int = 0) -> str:
        return self.raw(*words, input=input, code=code).decode()

    def raw(self, *words: str, input: bytes = b"", code: int = 0) -> bytes:
        done = subprocess.run(
            [self.binary, *words], input=input, env=self.environment, capture_output=True, timeout=40, check=False
        )
        assert done.returncode == code, (
            f"kubectl {' '.join(words)}: {done.returncode} {done.stdout[-500:]!r}{done.stderr!r}"
        )
        return done.stdout + done.stderr

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.binary, *words], env=self.environment, **options)  # type: ignore[call-overload,no-any-return]


def until(check: Callable[[], object], what: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
