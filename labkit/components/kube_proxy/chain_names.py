"""Names of chains that say whose they are, short enough for the kernel: a hash, as kube-proxy has made it since 1.1.

    KUBE-SVC-NPX46M4PTMTKRN6Y     the first 16 characters of base32(sha256("default/kubernetes:https" + "tcp"))
    KUBE-SEP-...                  the same with the endpoint, "10.245.1.11:6443", behind it

Every machine of a cluster, and every other kube-proxy of the world, has the same name for the same service port.
Source: servicePortChainName in pkg/proxy/iptables/proxier.go; hashAndTruncate in pkg/proxy/nftables/proxier.go.
"""

import hashlib
import string

from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.served_ports import ServedPort

_DIGITS = string.ascii_uppercase + "234567"  # RFC 4648, section 6
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_LONGEST = 240  # NFT_CHAIN_MAXNAMELEN is 256


def short_hash(text: str, length: int) -> str:
    """The first `length` characters, a multiple of 8, of the hash in base32: 5 bytes are 8 of them.

    Two at a time out of a table: base64.b32encode takes ten times as long, and 10,000 services have 60,000 chains.
    """
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[: length * 5 // 8])
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(length * 5 - 10, -1, -10)])


def service_chain(port: ServedPort) -> str:
    """KUBE-SVC-..., the chain that chooses an endpoint of a service port."""
    return f"KUBE-SVC-{short_hash(f'{_upstream(port)}{port.protocol}', 16)}"


def endpoint_chain(port: ServedPort, endpoint: Address) -> str:
    """KUBE-SEP-..., the chain that leads to one endpoint."""
    return f"KUBE-SEP-{short_hash(f'{_upstream(port)}{port.protocol}{endpoint.ip}:{endpoint.port}', 16)}"


def nft_suffix(port: ServedPort) -> str:
    """ULMVA6XW-ns1/svc1/tcp/p80: what follows service- and external- in nftables mode; there a name may be long."""
    return _hashed(_path(port))


def nft_endpoint_suffix(port: ServedPort, endpoint: Address) -> str:
    """5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80: what follows endpoint- and affinity-."""
    return _hashed(f"{_path(port)}__{endpoint.ip}/{endpoint.port}")


def _path(port: ServedPort) -> str:
    owner, _, port_name = port.name.rpartition(":")
    return f"{owner}/{port.protocol}/{port_name}"


def _hashed(path: str) -> str:
    return f"{short_hash(path, 8)}-{path}"[:_LONGEST]


def _upstream(port: ServedPort) -> str:
    """A service port without a name has no colon at its end."""
    return port.name.removesuffix(":")
