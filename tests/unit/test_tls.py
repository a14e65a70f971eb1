"""Which TLS our servers speak: handshakes with contexts, without a network."""

import argparse
import ssl
from pathlib import Path

import pytest

from labkit import tls
from tests.node.real_etcd import Authority


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """(version, suite) that the two agree on; raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (server.wrap_bio(to_server, to_client, server_side=True), client.wrap_bio(to_client, to_server))
    for _ in range(10):
        done = 0
        for end in ends:
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            return str(ends[0].version()), ends[0].cipher()[0]  # type: ignore[index]
    raise AssertionError("no end of it")


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).issue("server"))
    tls.restrict(context)
    return context


def client(newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED, ciphers: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
    return context


def test_the_newest_that_both_know(server: ssl.SSLContext) -> None:
    assert shake_hands(server, client())[0] == "TLSv1.3"
    assert shake_hands(server, client(ssl.TLSVersion.TLSv1_2))[0] == "TLSv1.2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_ones_are_refused(server: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client(version))


@pytest.mark.parametrize("suite", [name for name in tls.SUITES.values() if "ECDSA" in name])
def test_every_suite_of_the_table(server: ssl.SSLContext, suite: str) -> None:
    assert shake_hands(server, client(ssl.TLSVersion.TLSv1_2, suite)) == ("TLSv1.2", suite)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-SHA",
                                   "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-CCM"])  # fmt: skip
def test_weak_suites_are_refused(server: ssl.SSLContext, suite: str) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client(ssl.TLSVersion.TLSv1_2, f"{suite}:@SECLEVEL=0"))


def test_a_narrower_choice(server: ssl.SSLContext) -> None:
    tls.restrict(server, "VersionTLS12", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
    assert shake_hands(server, client(ssl.TLSVersion.TLSv1_2))[1] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    tls.restrict(server, "VersionTLS13")
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client(ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize("given", ["--tls-cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256", "--tls-cipher-suites=,",
                                   "--tls-min-version=VersionTLS11"])  # fmt: skip
def test_flags_that_cannot_be(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    tls.flags(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([given])
    assert given.partition("=")[0] in capsys.readouterr().err


def test_flags() -> None:
    parser = argparse.ArgumentParser()
    tls.flags(parser)
    assert parser.parse_args([]).tls_cipher_suites == ",".join(tls.SUITES)
    two = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert parser.parse_args([f"--tls-cipher-suites={two}"]).tls_cipher_suites == two.replace(" ", "")
