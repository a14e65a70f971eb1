"""What kube-apiserver is told: flags, under Kubernetes' names, and what can be wrong with them."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit import tls
from labkit.components.kube_apiserver.admission.chain import PLUGINS

_FILES = (
    "etcd_cafile", "etcd_certfile", "etcd_keyfile", "tls_cert_file", "tls_private_key_file", "client_ca_file",
    "token_auth_file", "service_account_key_file", "service_account_signing_key_file", "kubelet_certificate_authority",
    "kubelet_client_certificate", "kubelet_client_key",
)  # fmt: skip
MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node")


class SettingsError(Exception):
    """A flag that cannot be used; the message names it and what was expected."""


@dataclass(kw_only=True)
class Settings:
    """The flags as attributes; the defaults are those of a server for tests: plain HTTP on a free loopback port."""

    bind_address: str = "127.0.0.1"
    secure_port: int = 0
    advertise_address: str = "127.0.0.1"
    apiserver_count: int = 1
    storage: str = "memory"
    etcd_servers: str = "https://127.0.0.1:2379"
    etcd_cafile: str = ""
    etcd_certfile: str = ""
    etcd_keyfile: str = ""
    etcd_compaction_interval: int = 300
    service_cluster_ip_range: str = "10.0.0.0/16"
    service_node_port_range: str = "30000-32767"
    tls_cert_file: str = ""
    tls_private_key_file: str = ""
    client_ca_file: str = ""
    tls_client_auth: str = ""
    tls_min_version: str = tls.OLDEST
    tls_cipher_suites: str = ",".join(tls.SUITES)
    token_auth_file: str = ""
    service_account_key_file: str = ""
    service_account_signing_key_file: str = ""
    service_account_issuer: str = "https://kubernetes.default.svc"
    api_audiences: str = ""
    authorization_mode: str = "AlwaysAllow"
    authorization_policy_file: str = ""
    admission_control: str = "NamespaceLifecycle"
    audit_log_path: str = ""
    audit_log_maxsize: int = 100
    audit_log_maxbackup: int = 10
    audit_log_maxage: int = 30
    kubelet_certificate_authority: str = ""
    kubelet_client_certificate: str = ""
    kubelet_client_key: str = ""
    kubelet_port: int = 10250
    event_ttl: int = 3600
    loop: str = "uvloop"

    @property
    def admission_plugins(self) -> list[str]:
        return _names(self.admission_control)

    @property
    def api_audience_names(self) -> list[str]:
        return _names(self.api_audiences)

    @property
    def takes_tokens(self) -> bool:
        return bool(self.token_auth_file or self.service_account_key_file)

    @property
    def authorization_modes(self) -> list[str]:
        return _names(self.authorization_mode)


def _names(text: str) -> list[str]:
    """Of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="kube-apiserver",
        description="The one door to the cluster's state: validates objects, keeps them in etcd, tells watchers. "
        "Clients come over TLS and are known by their certificates.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _listening(flags.add_argument_group("listening"))
    _storage(flags.add_argument_group("where objects are kept"))
    _access(flags.add_argument_group("who may do what"))
    _audit(flags.add_argument_group("who did what"))
    _services(flags.add_argument_group("services and kubelets"))
    flags.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop",
                       help="the event loop; uvloop needs a quarter of the memory for idle TLS watchers")  # fmt: skip
    return flags


def _listening(flags: argparse._ArgumentGroup) -> None:
    add = flags.add_argument
    add("--bind-address", default="0.0.0.0", metavar="IP", help="address of the secure port")  # noqa: S104
    add("--secure-port", type=int, default=6443, metavar="PORT", help="the HTTPS port")
    add("--advertise-address", required=True, metavar="IP", help="where others reach this server: the endpoint of the "
        "service `kubernetes`")  # fmt: skip
    add("--apiserver-count", type=int, default=1, metavar="N", help="how many API servers share this etcd")
    add("--tls-cert-file", required=True, metavar="FILE", help="the server's certificate (PEM)")
    add("--tls-private-key-file", required=True, metavar="FILE", help="its key")
    tls.flags(flags)


def _storage(flags: argparse._ArgumentGroup) -> None:
    add = flags.add_argument
    add("--storage", choices=("etcd", "memory"), default="etcd", help="memory forgets everything at the end: for tests")
    add("--etcd-servers", default="https://127.0.0.1:2379", metavar="URL[,URL]", help="etcd's client URLs")
    add("--etcd-cafile", default="", metavar="FILE", help="the CA that signed etcd's certificate")
    add("--etcd-certfile", default="", metavar="FILE", help="the certificate that etcd knows this server by")
    add("--etcd-keyfile", default="", metavar="FILE", help="its key")
    add("--etcd-compaction-interval", type=_seconds, default="5m", metavar="TIME", help="how long history is kept at "
        "least, twice as long at most: watches and lists in parts can go on from there; 0: for ever")  # fmt: skip
    add("--event-ttl", type=_seconds, default="1h", metavar="TIME", help="how long events are kept: 90s, 30m, 1h")


def _access(flags: argparse._ArgumentGroup) -> None:
    add = flags.add_argument
    add("--client-ca-file", required=True, metavar="FILE", help="clients are known by certificates of this CA: CN is "
        "the user, O the groups")  # fmt: skip
    add("--tls-client-auth", choices=("required", "optional"), default="", help="required: without a "
        "certificate no TLS connection (so it is by itself where there are no tokens); optional: it comes about, and "
        "needs a token")  # fmt: skip
    add("--token-auth-file", default="", metavar="FILE", help='bearer tokens, a line each: TOKEN,USER,UID,"GROUP,..."')
    add("--service-account-key-file", default="", metavar="FILE", help="verifies the tokens of service accounts (PEM; "
        "the public key, or the private one that the controller manager signs with)")  # fmt: skip
    add("--service-account-signing-key-file", default="", metavar="FILE", help="signs the tokens that are asked for "
        "(kubectl create token); PEM, the private half of --service-account-key-file. Without it none")  # fmt: skip
    add("--service-account-issuer", default="https://kubernetes.default.svc", metavar="URL", help="who those tokens "
        "say they are from")  # fmt: skip
    add("--api-audiences", default="", metavar="NAME[,NAME]", help="whom a token must be for to be taken here; the "
        "issuer unless told")  # fmt: skip
    add("--authorization-mode", default="Node,ABAC", metavar="MODE[,MODE]", help="who is allowed by any of them may. "
        "Node: kubelets, what is their own node's; ABAC: a policy file decides; AlwaysAllow; AlwaysDeny")  # fmt: skip
    add("--authorization-policy-file", default="", metavar="FILE", help="one JSON object a line: user, group, "
        "resource, namespace, readonly, verbs")  # fmt: skip
    add("--admission-control", default="NamespaceLifecycle,NamespaceExists,NodeRestriction", metavar="NAME[,NAME]",
        help="what a change must get past, in this order: " + ", ".join(sorted(PLUGINS)))  # fmt: skip


def _audit(flags: argparse._ArgumentGroup) -> None:
    add = flags.add_argument
    add("--audit-log-path", default="", metavar="FILE", help="one JSON line per request, for root and this server's "
        "user only; none without it")  # fmt: skip
    add("--audit-log-maxsize", type=int, default=100, metavar="MB", help="the file is put aside when it has grown to "
        "this; 0 never")  # fmt: skip
    add("--audit-log-maxbackup", type=int, default=10, metavar="N", help="how many older files are kept; 0 all")
    add("--audit-log-maxage", type=int, default=30, metavar="DAYS", help="how long older files are kept; 0 for ever")


def _services(flags: argparse._ArgumentGroup) -> None:
    add = flags.add_argument
    add("--service-cluster-ip-range", default="10.0.0.0/16", metavar="CIDR", help="addresses of services")
    add("--service-node-port-range", default="30000-32767", metavar="A-B", help="ports of NodePort services")
    add("--kubelet-certificate-authority", default="", metavar="FILE", help="the CA of the kubelets' certificates")
    add("--kubelet-client-certificate", default="", metavar="FILE", help="the certificate that kubelets admit")
    add("--kubelet-client-key", default="", metavar="FILE", help="its key")
    add("--kubelet-port", type=int, default=10250, metavar="PORT", help="where kubelets serve logs")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time like 90s, 30m or 1h")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def parse(arguments: list[str] | None = None) -> Settings:
    """From the command line; argparse exits with 2 on unknown flags, SettingsError on values that cannot be."""
    settings = Settings(**vars(parser().parse_args(arguments)))
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Raises SettingsError for the first flag that cannot be used."""
    _check_network(settings.service_cluster_ip_range)
    _check_ports(settings.service_node_port_range)
    _check_names("--authorization-mode", settings.authorization_modes, MODES)
    _check_names("--admission-control", settings.admission_plugins, PLUGINS)
    if settings.takes_tokens and settings.tls_client_auth == "required":
        raise SettingsError("--tls-client-auth=required lets nobody in by a token: expected optional")
    settings.tls_client_auth = settings.tls_client_auth or ("optional" if settings.takes_tokens else "required")
    if "ABAC" in settings.authorization_modes and not settings.authorization_policy_file:
        raise SettingsError("--authorization-mode: ABAC needs --authorization-policy-file=FILE")
    for flag in _FILES:
        file = getattr(settings, flag)
        if file and not Path(file).is_file():
            raise SettingsError(f"--{flag.replace('_', '-')}: no such file: {file}")


def _check_names(flag: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise SettingsError(f"{flag}: {name!r} is not one of {', '.join(sorted(known))}")


def _check_network(text: str) -> None:
    try:
        size = ipaddress.IPv4Network(text).num_addresses
    except ValueError as error:
        raise SettingsError(f"--service-cluster-ip-range: {error}: expected a network like 10.0.0.0/16") from error
    if not 16 <= size <= 1 << 20:
        raise SettingsError(f"--service-cluster-ip-range: {text} has {size} addresses: expected /12 to /28")


def _check_ports(text: str) -> None:
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= 65535:
        raise SettingsError(f"--service-node-port-range: {text!r}: expected two ports like 30000-32767")
