"""A real etcd server on free loopback ports, with TLS and client certificates, for the tests of this layer."""

import datetime
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Authority:
    """A throw-away CA: `issue(name)` writes name.crt and name.key into its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test-ca-{folder.name}")])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write("ca.crt", builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def issue(self, common_name: str, *groups: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = self._builder(x509.Name(parts), key.public_key()).add_extension(names, critical=False)
        stem = common_name.replace(":", "-")
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(f"{stem}.crt", certificate), self._write(f"{stem}.key", private)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path


@dataclass
class EtcdServer:
    """One etcd process; `stop()` and `start()` keep its data."""

    folder: Path
    authority: Authority | None = None
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        scheme = "https" if self.authority else "http"
        client = f"{scheme}://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        command = [
            shutil.which("etcd") or "etcd", "--name=t", f"--data-dir={self.folder / 'data'}", "--log-level=error",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=t={peer}", *self.flags,
        ]  # fmt: skip
        if self.authority:
            certificate, key = self.authority.issue("etcd-server")
            command += [f"--cert-file={certificate}", f"--key-file={key}", "--client-cert-auth",
                        f"--trusted-ca-file={self.authority.ca}"]  # fmt: skip
        with (self.folder / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        """Until it has elected itself: the port alone listens earlier."""
        context, scheme = None, "http"
        if self.authority:
            context, scheme = ssl.create_default_context(cafile=str(self.authority.ca)), "https"
            context.load_cert_chain(*self.authority.issue("etcd-health"))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{scheme}://{self.address}/health", timeout=2, context=context):
                    return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(f"etcd is not healthy: {(self.folder / 'etcd.log').read_text()[-2000:]}")

    def ctl(self, *arguments: str) -> str:
        """What etcdctl prints."""
        command = ["etcdctl", f"--endpoints={'https' if self.authority else 'http'}://{self.address}", *arguments]
        if self.authority:
            certificate, key = self.authority.issue("etcdctl")
            command += [f"--cacert={self.authority.ca}", f"--cert={certificate}", f"--key={key}"]
        env = os.environ | {"ETCDCTL_API": "3"}
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=env).stdout

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None


@contextmanager
def etcd_server(folder: Path, authority: Authority | None = None, flags: tuple[str, ...] = ()) -> Iterator[EtcdServer]:
    server = EtcdServer(folder, authority, flags)
    server.start()
    try:
        yield server
    finally:
        server.stop()
