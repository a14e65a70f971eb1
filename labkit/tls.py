"""Which TLS a server of ours speaks: 1.2 with suites that keep yesterday's secrets, and 1.3.

The names are those of Kubernetes' flags (Go's, from the IANA registry):

    --tls-min-version=VersionTLS12
    --tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,...

Every suite here agrees on a key that is thrown away afterwards (ECDHE) and seals what it encrypts (GCM, POLY1305). The
three of TLS 1.3 all do, and are always there. Source: CIS Kubernetes Benchmark 1.10, rows 1.2.29 and 4.2.12.
"""

import argparse
import ssl

SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Go's name -> OpenSSL's, the best first."""
VERSIONS = {"VersionTLS12": ssl.TLSVersion.TLSv1_2, "VersionTLS13": ssl.TLSVersion.TLSv1_3}
OLDEST = "VersionTLS12"


def flags(add: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """The two flags."""
    add.add_argument("--tls-min-version", choices=sorted(VERSIONS), default=OLDEST, help="older clients are refused")
    add.add_argument("--tls-cipher-suites", type=suites, default=",".join(SUITES), metavar="NAME[,NAME]",
                     help="what TLS 1.2 may encrypt with; the suites of TLS 1.3 are always there")  # fmt: skip


def suites(text: str) -> str:
    """The flag's value, checked."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SUITES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{(unknown or [text])[0]!r} is not one of {', '.join(SUITES)}")
    return ",".join(names)


def restrict(context: ssl.SSLContext, min_version: str = OLDEST, cipher_suites: str = ",".join(SUITES)) -> None:
    """Let a server's context speak nothing else."""
    context.minimum_version = VERSIONS[min_version]
    context.set_ciphers(":".join(SUITES[name] for name in cipher_suites.split(",")))
