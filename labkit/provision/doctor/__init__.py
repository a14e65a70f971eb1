"""`labkit doctor`: look at the host and at every machine, say what is wrong, and the exact mend for it.

    conditions.py   host: versions, cgroups, capabilities, limits, /dev/kvm, routes       look
    host.py         ... and what of that is wrong                                         decide (pure)
    state.py        the cluster's own files, and what its machines left behind            look, decide
    machine.py      each machine: clock, disk, memory, units, routes, what differs        look, decide
    remedies.py     what `--fix` may do by itself                                         act

Nothing is changed without `--fix`.
"""

from collections.abc import Iterable

from labkit.cluster import Cluster
from labkit.provision import host_facts
from labkit.provision.doctor import conditions, host, machine, state
from labkit.provision.doctor.finding import Finding
from labkit.provision.process import OnLine


def examine(cluster: Cluster, on_line: OnLine = lambda line: None) -> list[Finding]:
    """All there is to say, the host first. Never raises for what it finds: that is its answer."""
    on_line("the host")
    facts = host_facts.look(cluster)
    found = [*host.findings(facts, conditions.look(cluster, facts.docker_running)), *state.findings(cluster, facts)]
    if facts.docker_running or cluster.provider != "docker":
        on_line("the machines")
        found += machine.findings(cluster)
    return found


def wrong(found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.is_wrong]
