import pytest

from labkit.api.types import EndpointAddress, EndpointPort, Endpoints, EndpointSubset, ObjectMeta
from labkit.components.kube_proxy.balancer import AFFINITY_CLIENTS, AFFINITY_SECONDS, Address, Balancer, addresses

A, B, C = Address("10.244.2.2", 80), Address("10.244.2.3", 80), Address("10.244.3.2", 80)
WEB = "default/web:"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def reverse(group: list[Address]) -> None:
    group.reverse()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def balancer(clock: Clock) -> Balancer:
    return Balancer(shuffle=reverse, clock=clock)


def turns(balancer: Balancer, count: int, client: str = "10.244.2.9") -> list[Address | None]:
    return [balancer.next(WEB, client) for _ in range(count)]


def test_endpoints_are_shuffled_once_and_taken_in_turn(balancer: Balancer) -> None:
    balancer.set_endpoints(WEB, [A, B, C])
    assert turns(balancer, 5) == [C, B, A, C, B]


def test_the_same_endpoints_in_another_order_change_nothing(balancer: Balancer) -> None:
    balancer.set_endpoints(WEB, [A, B, C])
    turns(balancer, 1)
    balancer.set_endpoints(WEB, [C, A, B])
    assert turns(balancer, 2) == [B, A]


def test_other_endpoints_start_a_new_round(balancer: Balancer) -> None:
    balancer.set_endpoints(WEB, [A, B])
    turns(balancer, 1)
    balancer.set_endpoints(WEB, [A, C])
    assert turns(balancer, 3) == [C, A, C]


def test_without_endpoints_there_is_nothing_to_hand_out(balancer: Balancer) -> None:
    assert turns(balancer, 1) == [None]
    balancer.set_endpoints(WEB, [A])
    balancer.set_endpoints(WEB, [])
    assert turns(balancer, 1) == [None]


def test_service_ports_have_turns_of_their_own(balancer: Balancer) -> None:
    balancer.set_endpoints(WEB, [A, B])
    balancer.set_endpoints("default/web:other", [A, B])
    assert [balancer.next(WEB, "x"), balancer.next("default/web:other", "x")] == [B, B]


def test_client_ip_affinity_pins_each_client(balancer: Balancer) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    assert turns(balancer, 3, "c1") == [B, B, B]
    assert turns(balancer, 3, "c2") == [A, A, A]
    assert turns(balancer, 1, "c1") == [B]


def test_affinity_lasts_180_minutes_from_the_last_use(balancer: Balancer, clock: Clock) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    assert turns(balancer, 1) == [B]
    clock.now += AFFINITY_SECONDS - 1
    assert turns(balancer, 1) == [B]
    clock.now += AFFINITY_SECONDS - 1
    assert turns(balancer, 1) == [B]
    clock.now += AFFINITY_SECONDS
    assert turns(balancer, 2) == [A, A]


def test_affinity_to_an_endpoint_that_left_is_forgotten(balancer: Balancer) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    assert turns(balancer, 2, "c1") == [B, B]
    balancer.set_endpoints(WEB, [A, C])
    assert turns(balancer, 1, "c1") == [C]


def test_a_retry_gives_affinity_up(balancer: Balancer) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    assert turns(balancer, 1) == [B]
    assert balancer.next(WEB, "10.244.2.9", retry=True) == A
    assert turns(balancer, 2) == [A, A]


def test_affinity_that_is_switched_off_is_forgotten(balancer: Balancer) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    turns(balancer, 1)
    balancer.set_affinity(WEB, False)
    assert turns(balancer, 2) == [A, B]


def test_remembered_clients_are_bounded(balancer: Balancer) -> None:
    balancer.set_affinity(WEB, True)
    balancer.set_endpoints(WEB, [A, B])
    pinned = turns(balancer, 1, "first")
    for number in range(AFFINITY_CLIENTS):
        balancer.next(WEB, f"client {number}")
    assert turns(balancer, 1, "first") != pinned  # it was forgotten, and took its turn
    assert len(balancer._ports[WEB].pins) == AFFINITY_CLIENTS


def test_addresses_of_an_endpoints_object() -> None:
    ready = [EndpointAddress(ip="10.244.2.2"), EndpointAddress(ip="10.244.2.3")]
    subsets = [
        EndpointSubset(
            addresses=ready,
            not_ready_addresses=[EndpointAddress(ip="10.244.9.9")],
            ports=[EndpointPort(name="http", port=80), EndpointPort(name="dns", port=53, protocol="UDP")],
        ),
        EndpointSubset(addresses=[ready[0]], ports=[EndpointPort(name="http", port=8080)]),
        EndpointSubset(addresses=[ready[0]], ports=[EndpointPort(name="http", port=80), EndpointPort(name="zero")]),
    ]
    endpoints = Endpoints(metadata=ObjectMeta(name="web", namespace="default"), subsets=subsets)
    assert addresses(endpoints) == {
        "default/web:http": [("10.244.2.2", 80), ("10.244.2.3", 80), ("10.244.2.2", 8080)],
        "default/web:dns": [("10.244.2.2", 53), ("10.244.2.3", 53)],
        "default/web:zero": [],
    }


@pytest.mark.parametrize("ip", ["", "127.0.0.1", "redis.example.com", "fd00::1", "10.244.2"])
def test_only_usable_addresses_are_endpoints(ip: str) -> None:
    subset = EndpointSubset(addresses=[EndpointAddress(ip=ip)], ports=[EndpointPort(port=80)])
    endpoints = Endpoints(metadata=ObjectMeta(name="web", namespace="default"), subsets=[subset])
    assert addresses(endpoints) == {"default/web:": []}


def test_random_takes_what_chance_says_and_retries_in_turn(clock: Clock) -> None:
    picks = iter([2, 0, 2])
    balancer = Balancer(shuffle=lambda _: None, clock=clock, chance=lambda count: next(picks) % count)
    group = [Address("10.244.2.1", port) for port in (1, 2, 3)]
    balancer.set_endpoints("default/web:", group)
    taken = [balancer.next("default/web:", "10.244.1.9") for _ in range(2)]
    assert taken == [group[2], group[0]]
    assert balancer.next("default/web:", "10.244.1.9", retry=True) == group[1]
    balancer.set_affinity("default/web:", True)
    assert [balancer.next("default/web:", "10.244.1.9") for _ in range(3)] == [group[2]] * 3
