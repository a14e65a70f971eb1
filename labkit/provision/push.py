"""`labkit push kube-proxy`: the code as it is now, on every machine that runs that component, in seconds.

Only labkit's own wheel is installed and only the named services are restarted, whether or not anything changed. What
else changed waits for the next `labkit up`.
"""

import dataclasses

from labkit.cluster import Cluster
from labkit.provision import crew, own, plan
from labkit.provision.desired import Desired, desired
from labkit.provision.facts import Facts
from labkit.provision.render import ETC
from labkit.provision.report import Report
from labkit.provision.ssh import Ssh
from labkit.provision.up import sources
from labkit.provision.venv import STAMPS


def components(cluster: Cluster) -> list[str]:
    """What can be pushed: the services of labkit's own."""
    names = dict.fromkeys(name for machine in cluster.machines for name in own.services(cluster, machine))
    return [name for name in names if name.startswith("kube") or name in own.names(cluster)]


def push(cluster: Cluster, names: list[str], report: Report) -> list[str]:
    """Raises CommandFailed. The machines that were touched."""
    prepared = sources(cluster)
    wanted = [
        only(desired(prepared, machine), names)
        for machine in cluster.machines
        if set(names) & set(own.services(cluster, machine))
    ]
    crew.provision(cluster, wanted, prepared.wheel, report, again)
    return [each.machine.name for each in wanted]


def remove(cluster: Cluster, name: str) -> None:
    """End a component of somebody's own and forget it. Raises CommandFailed."""
    files = f"{plan.UNITS}{name}.service {ETC}{name}.env {ETC}own/{name}.py {ETC}pki/own-{name}.* {ETC}own-{name}.*"
    with Ssh(cluster, cluster.master) as ssh:
        ssh.run(
            f"systemctl disable --now --quiet {name}; rm -f {files} {STAMPS}/unit-{name}; systemctl daemon-reload",
            timeout=60, what=f"remove {name}",
        )  # fmt: skip
    own.forget(cluster, name)


def only(wanted: Desired, names: list[str]) -> Desired:
    """The machine with none but these services to care about."""
    return dataclasses.replace(
        wanted, services=tuple(service for service in wanted.services if service.name in names), files=()
    )


def again(wanted: Desired, facts: Facts, parcel: plan.Parcel) -> list[plan.Action]:
    """plan.plan, as if the services had never been started and there were nothing else on the machine."""
    forgotten = {name: stamp for name, stamp in facts.stamps.items() if not name.startswith("unit-")}
    facts.stamps, facts.images = forgotten, {}
    return plan.plan(wanted, facts, parcel)
