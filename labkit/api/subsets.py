"""The one way in which endpoints are written: each port with its addresses, ports with the same addresses together.

    [{addresses: [a], ports: [x]}, {addresses: [a, b], ports: [x]}]  ->  [{addresses: [a, b], ports: [x]}]

Addresses without a port, and ports without an address, disappear. Source: RepackSubsets in pkg/api/endpoints of
Kubernetes 1.0.
"""

from labkit.api.types import EndpointAddress, EndpointPort, EndpointSubset


def repack(subsets: list[EndpointSubset]) -> list[EndpointSubset]:
    """Sorted by address and port; the addresses and ports themselves are kept, not copied."""
    addresses: dict[tuple[str, bool], EndpointAddress] = {}
    serving: dict[tuple[int, str, str], set[tuple[str, bool]]] = {}
    ports: dict[tuple[int, str, str], EndpointPort] = {}
    for subset in subsets:
        ready = [(address, True) for address in subset.addresses]
        unready = [(address, False) for address in subset.not_ready_addresses]
        for port in subset.ports:
            name = (port.port, port.protocol, port.name)
            ports.setdefault(name, port)
            for address, is_ready in ready + unready:
                addresses.setdefault((address.ip, is_ready), address)
                serving.setdefault(name, set()).add((address.ip, is_ready))
    groups: dict[frozenset[tuple[str, bool]], list[EndpointPort]] = {}
    for name in sorted(serving):
        groups.setdefault(frozenset(serving[name]), []).append(ports[name])
    packed = [
        EndpointSubset(
            addresses=[addresses[key] for key in sorted(group) if key[1]],
            not_ready_addresses=[addresses[key] for key in sorted(group) if not key[1]],
            ports=members,
        )
        for group, members in groups.items()
    ]
    return sorted(packed, key=lambda subset: (subset.ports[0].port, subset.ports[0].protocol, subset.ports[0].name))
