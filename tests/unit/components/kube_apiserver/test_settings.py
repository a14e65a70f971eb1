"""Flags, and what can be wrong with them."""

from pathlib import Path

import pytest

from labkit.components.kube_apiserver import settings
from labkit.components.kube_apiserver.settings import SettingsError


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    file = tmp_path / "file"
    file.write_text("")
    names = ("tls-cert-file", "tls-private-key-file", "client-ca-file", "authorization-policy-file")
    return ["--advertise-address=10.245.1.11", *(f"--{name}={file}" for name in names)]


def test_defaults_are_the_originals(flags: list[str]) -> None:
    parsed = settings.parse(flags)
    assert (parsed.secure_port, parsed.service_cluster_ip_range) == (6443, "10.0.0.0/16")
    assert (parsed.service_node_port_range, parsed.event_ttl) == ("30000-32767", 3600)
    assert (parsed.authorization_mode, parsed.tls_client_auth, parsed.storage) == ("Node,ABAC", "required", "etcd")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--service-cluster-ip-range=10.0.0.1/16", "--service-cluster-ip-range: .* has host bits set"),
        ("--service-cluster-ip-range=10.0.0.0/31", "expected /12 to /28"),
        ("--service-cluster-ip-range=fd00::/64", "expected a network like"),
        ("--service-node-port-range=32767-30000", "expected two ports"),
        ("--service-node-port-range=http", "expected two ports"),
        ("--etcd-cafile=/no/such", "--etcd-cafile: no such file: /no/such"),
        ("--authorization-policy-file=", "needs --authorization-policy-file"),
        ("--authorization-mode=RBAC", "--authorization-mode: 'RBAC' is not one of ABAC, AlwaysAllow, AlwaysDeny, Node"),
        ("--admission-control=NamespaceLifecycle,No", "--admission-control: 'No' is not one of AlwaysAdmit,"),
    ],
)
def test_bad_values_are_named(flags: list[str], flag: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.parse([*flags, flag])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600)])
def test_event_ttl(flags: list[str], text: str, seconds: int) -> None:
    assert settings.parse([*flags, f"--event-ttl={text}"]).event_ttl == seconds


def test_with_tokens_certificates_are_optional(flags: list[str], tmp_path: Path) -> None:
    tokens = f"--token-auth-file={tmp_path / 'file'}"
    assert settings.parse([*flags, tokens]).tls_client_auth == "optional"
    with pytest.raises(SettingsError, match="--tls-client-auth=required lets nobody in by a token"):
        settings.parse([*flags, tokens, "--tls-client-auth=required"])


def test_unknown_flag_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        settings.parse(["--nope"])
    assert caught.value.code == 2
