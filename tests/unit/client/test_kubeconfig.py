"""A kubeconfig becomes a connection over TLS with a client certificate, or an error that says what is wrong."""

import base64
import datetime
import ipaddress
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labkit.api.errors import ServerUnavailable
from labkit.api.types import Namespace
from labkit.client.kubeconfig import KubeconfigError, load
from labkit.client.rest import Client

NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A CA for one test."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._builder(self.name, self.private)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.private, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and key in PEM, good for 127.0.0.1."""
        private = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private.public_key())
        certificate = (
            self._builder(subject, private)
            .add_extension(local, critical=False)
            .add_extension(issuer, critical=False)
            .sign(self.private, hashes.SHA256())
        )
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        return certificate.public_bytes(pem), private.private_bytes(pem, pkcs8, plain)

    def _builder(self, subject: x509.Name, private: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        day = datetime.timedelta(days=1)
        key_id = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
        builder = x509.CertificateBuilder(self.name, subject, private.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(NOW - day).not_valid_after(NOW + day)
        return builder.add_extension(key_id, critical=False)


def config(cluster: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [
            {"name": "lab", "context": {"cluster": "lab", "user": "admin"}},
            {"name": "nobody", "context": {"cluster": "lab"}},
        ],
    }


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "files"])
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
async def test_tls_with_a_client_certificate(tmp_path: Path, inline: bool, write: Any) -> None:
    authority = Authority()
    (server_cert, server_key), (client_cert, client_key) = authority.issue("server"), authority.issue("alice")
    parts = {"certificate-authority": authority.pem, "client-certificate": client_cert, "client-key": client_key}
    fields: dict[str, str] = {}
    for field, content in parts.items():
        if inline:
            fields[f"{field}-data"] = base64.b64encode(content).decode()
        else:
            (tmp_path / "pki").mkdir(exist_ok=True)
            (tmp_path / "pki" / field).write_bytes(content)
            fields[field] = f"pki/{field}"  # relative to the kubeconfig
    (tmp_path / "server.pem").write_bytes(server_cert + server_key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    tls.load_cert_chain(tmp_path / "server.pem")
    tls.verify_mode = ssl.CERT_REQUIRED

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = dict(pair[0] for pair in request.transport.get_extra_info("peercert")["subject"])
        return web.json_response({"kind": "Namespace", "metadata": {"name": subject["commonName"]}})

    app = web.Application()
    app.router.add_get("/{path:.*}", who)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=tls)
    try:
        server_url = f"https://127.0.0.1:{server.port}"
        cluster = {"server": server_url} | {k: v for k, v in fields.items() if k.startswith("certificate-authority")}
        user = {k: v for k, v in fields.items() if k.startswith("client-")}
        path = tmp_path / "kubeconfig"
        path.write_text(write(config(cluster, user)))
        async with Client.from_kubeconfig(path) as client:
            assert (await client.get(Namespace, "x")).metadata.name == "alice"
        async with Client.from_kubeconfig(path, context="nobody") as client:
            with pytest.raises(ServerUnavailable):
                await client.get(Namespace, "x")
    finally:
        await server.close()


def test_a_token_and_no_tls(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config({"server": "http://127.0.0.1:8080/"}, {"token": "t"})))
    assert load(path) == ("http://127.0.0.1:8080", None, "t")


GOOD = {"server": "https://10.245.1.11:6443"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("a: [", "neither YAML nor JSON"),
        ("- 1", "expected an object with clusters"),
        ({}, "current-context: expected the name"),
        (config(GOOD, {}) | {"current-context": "other"}, "contexts: expected an entry named 'other'"),
        (config(GOOD, {}) | {"clusters": []}, "clusters: expected an entry named 'lab'"),
        (config({"server": "10.0.0.1"}, {}), r"clusters\[lab\].server: expected https://"),
        (config(GOOD | {"certificate-authority": "no/such"}, {}), "certificate-authority: .*no/such cannot be read"),
        (config(GOOD | {"certificate-authority-data": "%%"}, {}), "certificate-authority-data: expected base64"),
        (config(GOOD | {"certificate-authority-data": "aGVsbG8="}, {}), "expected PEM"),
        (config(GOOD | {"insecure-skip-tls-verify": True}, {}), "insecure-skip-tls-verify: not supported"),
    ],
)
def test_a_bad_kubeconfig_says_where(tmp_path: Path, document: Any, complaint: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(KubeconfigError, match=rf"^{path}: .*{complaint}"):
        load(path)


def test_a_missing_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="none: cannot be read: No such file"):
        load(tmp_path / "none")
