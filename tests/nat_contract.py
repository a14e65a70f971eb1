"""What every nat table must do: tests/unit runs it on MemoryNat, tests/node on iptables. The twin does the same."""

import pytest

from labkit.api.types import ServicePort
from labkit.components.kube_proxy.iptables import CHAINS, FIRST, LAST, Portal, Rule, render
from labkit.components.kube_proxy.nat import (
    Chains,
    Iptables,
    IptablesFailed,
    difference,
    exchange,
    local_ports,
    removal,
)
from tests.unit.components.kube_proxy.test_iptables import NODE, service


def rules(count: int, first_port: int = 40000) -> list[Rule]:
    services = [service(f"s{n:02}", f"10.0.1.{n}", ServicePort(port=80, protocol="TCP")) for n in range(1, count + 1)]
    portals = [Portal(each, each.spec.ports[0], first_port + n) for n, each in enumerate(services)]
    return render(portals, "0.0.0.0", NODE)


def ours(chains: Chains) -> dict[str, list[str]]:
    return {chain: sorted(chains[chain]) for chain in CHAINS if chain in chains}


async def told(table: Iptables, *lines: str) -> None:
    await table.restore("\n".join(["*nat", *lines, "COMMIT", ""]))


class NatContract:
    """Mixed into a test class whose module has a fixture `table` with nothing of ours in it."""

    async def test_nothing_is_ours_at_first(self, table: Iptables) -> None:
        assert ours(await table.save()) == {}
        assert {"PREROUTING", "OUTPUT"} <= (await table.save()).keys()

    async def test_what_is_wanted_stands_and_is_not_written_again(self, table: Iptables) -> None:
        wanted = rules(20)
        await table.restore(difference(await table.save(), wanted))
        there = await table.save()
        assert sorted(spec for specs in ours(there).values() for spec in specs) == sorted(rule.spec for rule in wanted)
        assert all(there[jump.chain][0] == jump.spec for jump in FIRST)
        assert all(there[jump.chain][-1] == jump.spec for jump in LAST)
        assert difference(there, wanted) == ""
        assert len(local_ports(there)) == 20

    async def test_what_is_wanted_no_more_goes(self, table: Iptables) -> None:
        await table.restore(difference(await table.save(), rules(20)))
        await table.restore(difference(await table.save(), rules(3)))
        assert difference(await table.save(), rules(3)) == ""

    async def test_one_for_another(self, table: Iptables) -> None:
        await table.restore(difference(await table.save(), rules(5)))
        for text in exchange(rules(5), rules(5, first_port=50000)):
            await table.restore(text)
        assert difference(await table.save(), rules(5, first_port=50000)) == ""

    async def test_everything_of_ours_goes(self, table: Iptables) -> None:
        before = await table.save()
        await table.restore(difference(before, rules(5)))
        await table.restore(removal(await table.save()))
        after = await table.save()
        assert ours(after) == {}
        assert {name: after[name] for name in ("PREROUTING", "OUTPUT")} == {
            name: before[name] for name in ("PREROUTING", "OUTPUT")
        }
        assert removal(after) == ""

    @pytest.mark.parametrize(
        "line", ["-D OUTPUT -p tcp -j ACCEPT", "-A KUBE-NOWHERE -p tcp -j ACCEPT", "-X KUBE-NOWHERE"]
    )
    async def test_all_or_nothing(self, table: Iptables, line: str) -> None:
        await table.restore(difference(await table.save(), rules(2)))
        before = ours(await table.save())
        with pytest.raises(IptablesFailed):
            await told(table, f"-A {CHAINS[0]} -p tcp -j ACCEPT", line)
        assert ours(await table.save()) == before

    async def test_the_first_place_and_an_emptied_chain(self, table: Iptables) -> None:
        chain = CHAINS[0]
        await told(table, f":{chain} - [0:0]", f"-A {chain} -p tcp -j ACCEPT", f"-I {chain} 1 -p udp -j ACCEPT")
        assert (await table.save())[chain] == ["-p udp -j ACCEPT", "-p tcp -j ACCEPT"]
        await told(table, f":{chain} - [0:0]", f"-A {chain} -p icmp -j ACCEPT")
        assert (await table.save())[chain] == ["-p icmp -j ACCEPT"]

    async def test_a_chain_that_is_used_stays(self, table: Iptables) -> None:
        chain = CHAINS[0]
        await told(table, f":{chain} - [0:0]", f"-A OUTPUT -j {chain}")
        with pytest.raises(IptablesFailed):
            await told(table, f"-X {chain}")
        assert chain in await table.save()
