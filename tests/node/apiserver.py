"""kube-apiserver as a process, as a machine runs it: TLS, client certificates, a policy, etcd behind it."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.node.real_etcd import Authority, EtcdServer, free_port

POLICY = """# what the tests' reader may do
{"user":"reader","resource":"pods","readonly":true}
"""


@dataclass
class ApiServer:
    """One process; `stop()` and `start()` keep its port. `authority` is the cluster's CA, etcd has its own."""

    folder: Path
    etcd: EtcdServer
    authority: Authority
    kubelet_port: int = 10250
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    python: str = sys.executable
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"apiserver-{self.port}.log"

    def command(self) -> list[str]:
        assert self.etcd.authority is not None
        policy = self.folder / "abac.jsonl"
        policy.write_text(POLICY)
        certificate, key = self.authority.issue("kube-apiserver-server")
        etcd_certificate, etcd_key = self.etcd.authority.issue("kube-apiserver")
        kubelet_certificate, kubelet_key = self.authority.issue("kube-apiserver-kubelet-client")
        return [
            self.python, "-m", "labkit.components.kube_apiserver", "--bind-address=127.0.0.1",
            f"--secure-port={self.port}", "--advertise-address=127.0.0.1", f"--etcd-servers=https://{self.etcd.address}",
            f"--etcd-cafile={self.etcd.authority.ca}", f"--etcd-certfile={etcd_certificate}",
            f"--etcd-keyfile={etcd_key}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--client-ca-file={self.authority.ca}", f"--authorization-policy-file={policy}",
            f"--kubelet-certificate-authority={self.authority.ca}", f"--kubelet-client-key={kubelet_key}",
            f"--kubelet-client-certificate={kubelet_certificate}", f"--kubelet-port={self.kubelet_port}", *self.flags,
        ]  # fmt: skip

    def start(self) -> None:
        """Returns when /healthz says ok."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=os.environ | {"LC_ALL": "C"})
        context = self.context("admin", "system:masters")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2, context=context) as answer:
                    assert answer.read() == b"ok"
                    return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(f"kube-apiserver is not healthy: {self.log.read_text()[-3000:]}")

    def context(self, user: str, *groups: str) -> ssl.SSLContext:
        """What a client needs to be this user."""
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        context.load_cert_chain(*self.authority.issue(user, *groups))
        return context

    def kubeconfig(self, user: str, *groups: str) -> Path:
        certificate, key = self.authority.issue(user, *groups)
        cluster = {"server": self.url, "certificate-authority": str(self.authority.ca)}
        identity = {"client-certificate": str(certificate), "client-key": str(key)}
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}], "users": [{"name": "user", "user": identity}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        }  # fmt: skip
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        path.write_text(json.dumps(document))
        return path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.process = None
        return code


@contextmanager
def api_server(folder: Path, etcd: EtcdServer, authority: Authority, **options: object) -> Iterator[ApiServer]:
    server = ApiServer(folder, etcd, authority, **options)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        if server.process:
            server.stop(signal.SIGKILL)
