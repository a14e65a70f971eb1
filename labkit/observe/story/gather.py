"""What the machines and kube-apiserver know of an object.

Names become known while we read (the pods of a controller), so the journals are asked again until nothing new is found.
When the watch cache told of which revision is asked last, for the times that matter: those lines name no object.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from labkit.cluster import Cluster
from labkit.observe.story import audit, words
from labkit.observe.story.journals import Journals, Reach
from labkit.observe.story.lines import API_SERVER, Line, Place, parse_all
from labkit.observe.story.objects import Objects, ask
from labkit.observe.story.relevant import choose, family_of
from labkit.observe.story.target import Target
from labkit.observe.story.told import Known
from labkit.provision.ssh import Ssh

ROUNDS = 4


def known(cluster: Cluster, target: Target, since: str = "", reach: Reach | None = None) -> Known:
    """Raises CommandFailed when the master cannot be reached, Unclear. since: how far back, `10 min ago`, "": all."""
    to: Reach = reach or partial(Ssh, cluster)
    with ThreadPoolExecutor(len(cluster.machines) + 1) as pool:
        asking = pool.submit(ask, cluster, target)
        with Journals(cluster, to, since, pool) as journals:
            journals.check()
            oldest = journals.oldest()
            return _gathered(target, journals, asking.result(), oldest)


def _gathered(target: Target, journals: Journals, there: Objects, oldest: Mapping[str, int]) -> Known:
    names: set[str] = set()
    wanted = {target.path, *there.owned, *there.related}
    found: list[Line] = []
    related = list(there.related)
    for _ in range(ROUNDS):
        if wanted <= names:
            break
        names |= wanted
        found = parse_all(journals.lines_about(names))[0]
        related = list(dict.fromkeys([*there.related, *services_of(target.path, found, there.owned)]))
        wanted = {*family_of(target.path, found, there.owned), *related}
    family = family_of(target.path, found, there.owned)
    entries = journals.audited({path.rpartition("/")[2] for path in family})
    began = min((line.time for line in found), default=0) if journals.since else 0
    found += [line for line in audit.refusals(journals.master, entries, family) if line.time >= began]
    if not journals.since:
        found += dated(target.path, there, found, journals.master)
    chosen = choose(target.path, found, there.owned, related)
    applied = parse_all({journals.master: journals.told(line.time for line in chosen.lines if line.is_write)})[1]
    notes = [*([there.trouble] if there.trouble else []), *journals.troubles]
    return Known(
        target.path, found, applied, there.owned, related, there.exists, there.created, oldest, notes, there.said
    )


def services_of(target: str, lines: Sequence[Line], owned: Sequence[str]) -> Iterable[str]:
    """Services whose Endpoints were written because of a pod of the family: they may be gone by now."""
    family = {path for path in family_of(target, lines, owned) if path.startswith("pods/")}
    for line in lines:
        if line.decision == "endpoints" and line.cause.partition(" ")[0] in family:
            yield "services/" + line.object.partition("/")[2]


def dated(path: str, there: Objects, lines: Iterable[Line], master: str) -> list[Line]:
    """When the journals no longer have how the object was made: its own date, in whole seconds."""
    if not there.created or any(line.is_write and line.object == path and line.decision == "created" for line in lines):
        return []
    return [Line(master, -1, there.created, API_SERVER, words.DATED, Place("metadata.creationTimestamp"), path)]
