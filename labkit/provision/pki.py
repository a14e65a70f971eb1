"""Two certificate authorities per cluster, three with storage; a certificate for everybody who is on the wire.

    cluster CA ──┬─ kube-apiserver                    serves 6443
                 ├─ kube-apiserver-kubelet-client     opens the kubelets' 10250
                 ├─ kube-scheduler, kube-controller-manager, kube-dns      clients of kube-apiserver
                 ├─ AGENT-kubelet, AGENT-kubelet-serving, AGENT-kube-proxy
                 ├─ admin                             kubectl
                 ├─ own-NAME                          what `labkit push FILE` has made a service
                 └─ registry                          serves the pods' images
    etcd CA ─────┬─ etcd                              serves 2379 (and 2380, to itself)
                 ├─ etcd-kube-apiserver               etcd's user kube-apiserver
                 └─ etcd-operator                     etcd's user operator, who only reads
    storage CA ──── MACHINE-glusterfs                 where there is storage: GlusterFS's servers and clients

Beside them is service-accounts.key: kube-controller-manager and kube-apiserver sign tokens with it.

etcd has a CA of its own because etcd 3.4 lets in whatever its CA signed. A certificate is kept until what it must say
changes (a new address of the master) or it nears its end. All of it is in STATE/pki: 0700, keys 0600.
"""

import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit.cluster import Cluster, Machine, write_private
from labkit.provision import own

SERVICE_ACCOUNTS = "service-accounts"
CA_YEARS = 10
CERTIFICATE_DAYS = 365
RENEW_DAYS = 30
"""A certificate that ends within so many days is made anew."""


@dataclass(frozen=True)
class Identity:
    """What a certificate says. `groups` become the user's groups in kube-apiserver; `names` are DNS names or IPs."""

    name: str
    common_name: str
    ca: str = "ca"
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    server: bool = False
    client: bool = False


def authorities(cluster: Cluster) -> list[str]:
    return ["ca", "etcd-ca", *(["storage-ca"] if cluster.storage else [])]


def identities(cluster: Cluster) -> list[Identity]:
    """Every certificate that the cluster needs, the CAs aside."""
    return (
        [*_master_identities(cluster), *_etcd_identities(), *_storage_identities(cluster)]
        + [identity for machine in cluster.machines for identity in _machine_identities(machine)]
        + [
            Identity(f"own-{name}", f"{own.GROUP}:{name}", groups=(own.GROUP,), client=True)
            for name in own.names(cluster)
        ]
    )


def _master_identities(cluster: Cluster) -> Iterator[Identity]:
    master = cluster.master
    first_service = str(ipaddress.ip_network(cluster.networks.services)[1])
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names = (*service, f"kubernetes.default.svc.{cluster.dns.domain}", master.name, "localhost")
    addresses = (first_service, master.address, "127.0.0.1")
    yield Identity("kube-apiserver", "kube-apiserver", names=(*names, *addresses), server=True)
    yield Identity("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", client=True)
    for component in ("kube-scheduler", "kube-controller-manager", "kube-dns"):
        yield Identity(component, f"system:{component}", client=True)
    yield Identity("admin", "admin", groups=("system:masters",), client=True)
    yield Identity("registry", master.name, names=(master.name, "localhost", master.address, "127.0.0.1"), server=True)


def _etcd_identities() -> Iterator[Identity]:
    yield Identity("etcd", "etcd", ca="etcd-ca", names=("localhost", "127.0.0.1"), server=True, client=True)
    yield Identity("etcd-kube-apiserver", "kube-apiserver", ca="etcd-ca", client=True)
    yield Identity("etcd-operator", "operator", ca="etcd-ca", client=True)


def _storage_identities(cluster: Cluster) -> Iterator[Identity]:
    for machine in cluster.machines if cluster.storage else ():
        name = f"{machine.name}-glusterfs"
        yield Identity(name, name, ca="storage-ca", names=(machine.address,), server=True, client=True)


def _machine_identities(machine: Machine) -> Iterator[Identity]:
    yield Identity(f"{machine.name}-kube-proxy", "system:kube-proxy", groups=("system:node-proxier",), client=True)
    if machine.is_agent:
        node = f"system:node:{machine.name}"
        yield Identity(f"{machine.name}-kubelet", node, groups=("system:nodes",), client=True)
        names = (machine.name, machine.address)
        yield Identity(f"{machine.name}-kubelet-serving", machine.name, names=names, server=True)


class Pki:
    """The directory STATE/pki with NAME.crt and NAME.key (PEM) for each CA and every identity."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def certificate(self, name: str) -> bytes:
        return (self.directory / f"{name}.crt").read_bytes()

    def key(self, name: str) -> bytes:
        return (self.directory / f"{name}.key").read_bytes()

    def ensure(self, cluster: Cluster) -> list[str]:
        """Make what is missing or no longer says what it must; the names of what was made, in order."""
        made = [name for name in authorities(cluster) if self._ensure_authority(cluster, name)]
        made += [SERVICE_ACCOUNTS] if self._ensure_signing_key() else []
        for identity in identities(cluster):
            authority = x509.load_pem_x509_certificate(self.certificate(identity.ca))
            if not self._is_current(identity, authority):
                self._issue(identity, authority)
                made.append(identity.name)
        return made

    def _ensure_authority(self, cluster: Cluster, name: str) -> bool:
        if (self.directory / f"{name}.crt").exists() and (self.directory / f"{name}.key").exists():
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster.name} {name}")])
        builder = (
            _builder(subject, subject, key.public_key(), days=CA_YEARS * 365)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        self._write(name, builder.sign(key, hashes.SHA256()), key)
        return True

    def _ensure_signing_key(self) -> bool:
        """The key that signs the tokens of service accounts; there is no certificate for it."""
        if (self.directory / f"{SERVICE_ACCOUNTS}.key").exists():
            return False
        write_private(self.directory / f"{SERVICE_ACCOUNTS}.key", _pem(ec.generate_private_key(ec.SECP256R1())))
        return True

    def public_key(self, name: str) -> bytes:
        """The other half of NAME.key (PEM)."""
        key = serialization.load_pem_private_key(self.key(name), password=None)
        return key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _is_current(self, identity: Identity, authority: x509.Certificate) -> bool:
        if not (self.directory / f"{identity.name}.key").exists():
            return False
        try:
            found = x509.load_pem_x509_certificate(self.certificate(identity.name))
            found.verify_directly_issued_by(authority)
        except Exception:  # absent, unreadable, or signed by a CA of the past: whatever it is, a new one mends it
            return False
        remaining = found.not_valid_after_utc - _now()
        return says(found) == _wanted(identity) and remaining > datetime.timedelta(days=RENEW_DAYS)

    def _issue(self, identity: Identity, authority: x509.Certificate) -> None:
        authority_key = serialization.load_pem_private_key(self.key(identity.ca), password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
        subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, identity.common_name)])
        builder = (
            _builder(subject, authority.subject, key.public_key(), days=CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(identity)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if identity.names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in identity.names]), critical=False
            )
        self._write(identity.name, builder.sign(authority_key, hashes.SHA256()), key)

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        write_private(self.directory / f"{name}.key", _pem(key))
        write_private(self.directory / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


Said = tuple[str, frozenset[str], frozenset[str], frozenset[str]]


def says(certificate: x509.Certificate) -> Said:
    """(common name, groups, names and addresses, purposes) of a certificate."""
    subject = certificate.subject
    common_name = str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    groups = frozenset(str(found.value) for found in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = frozenset(str(name.value) for name in alternatives)
    except x509.ExtensionNotFound:
        names = frozenset()
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return common_name, groups, names, frozenset(purpose.dotted_string for purpose in purposes)


def _wanted(identity: Identity) -> Said:
    purposes = frozenset(purpose.dotted_string for purpose in _purposes(identity))
    return identity.common_name, frozenset(identity.groups), frozenset(identity.names), purposes


def _purposes(identity: Identity) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if identity.server else []
    return server + ([ExtendedKeyUsageOID.CLIENT_AUTH] if identity.client else [])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    start = _now() - datetime.timedelta(hours=1)  # a machine's clock may be a little behind the host's
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )


def _key_usage(certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
