"""`on=...`: where a command runs, and what a learner types there.

    on=master               that machine (any name in cluster.json)
    on=pod/client           in the first container of the pod client, on whichever machine runs it
    on=pod/name=redis       the same for the first running pod with this label
    on=node-of:pod/client   on the machine that runs the pod
    on=away-from:pod/client on the first agent that does not run it

kubectl exec of 2015 was young and often switched off; one went to the node and used docker. So do we:
a command "in a pod" becomes `docker exec` on the pod's machine, found by the label and the name that the kubelet gave
the container.
"""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["machine", "pod", "node-of", "away-from"]
_PLACE = re.compile(r"(?:(node-of|away-from):)?(?:(pod)/)?([a-z0-9](?:[a-z0-9.=_-]*[a-z0-9])?)")


@dataclass(frozen=True)
class Place:
    """`pod` is a name, or KEY=VALUE; empty when `kind` is machine."""

    kind: Kind
    machine: str = ""
    pod: str = ""

    def __str__(self) -> str:
        if self.kind == "machine":
            return self.machine
        return f"pod/{self.pod}" if self.kind == "pod" else f"{self.kind}:pod/{self.pod}"


@dataclass(frozen=True)
class Spot:
    """A place found: the machine, and for a place in a pod the pod's key and its container's name."""

    machine: str
    pod: str = ""
    container: str = ""

    def __str__(self) -> str:
        return f"{self.pod} @ {self.machine}" if self.container else self.machine


class NowhereError(Exception):
    """The pod that a place names does not exist, or runs nowhere yet."""


def parse_place(text: str) -> Place | None:
    """None when `text` is no place."""
    found = _PLACE.fullmatch(text)
    if not found:
        return None
    prefix, pod, name = found.groups()
    if not pod:
        return Place("machine", machine=name) if not prefix and "=" not in name else None
    kinds: dict[str | None, Kind] = {None: "pod", "node-of": "node-of", "away-from": "away-from"}
    return Place(kinds[prefix], pod=name)


def pod_query(place: Place) -> str:
    """The kubectl command, for the master, that describes the pods that the place may mean (as JSON)."""
    chosen = f"-l {shlex.quote(place.pod)}" if "=" in place.pod else f"--field-selector metadata.name={place.pod}"
    return f"kubectl get pods {chosen} -o json"


def find_spot(place: Place, answer: str, agents: list[str]) -> Spot:
    """Where the place is, from the answer to `pod_query` and the names of the agents. Raises NowhereError."""
    pods: list[dict[str, Any]] = json.loads(answer).get("items") or []
    bound = [pod for pod in pods if pod.get("spec", {}).get("nodeName")]
    if not bound:
        raise NowhereError(f"pod {place.pod}: " + ("not scheduled to a machine yet" if pods else "there is none"))
    pod = min(bound, key=_unready)
    node, meta = pod["spec"]["nodeName"], pod["metadata"]
    if place.kind == "away-from":
        others = [agent for agent in agents if agent != node]
        if not others:
            raise NowhereError(f"there is no agent besides {node}, which runs pod {place.pod}")
        return Spot(others[0])
    if place.kind == "node-of":
        return Spot(node)
    key = f"{meta.get('namespace') or 'default'}/{meta['name']}"
    return Spot(node, key, pod["spec"]["containers"][0]["name"])


def _unready(pod: dict[str, Any]) -> tuple[bool, bool]:
    """Sorts running pods first, and those that are being deleted last."""
    return bool(pod["metadata"].get("deletionTimestamp")), pod.get("status", {}).get("phase") != "Running"


def typed_at(spot: Spot, command: str) -> str:
    """The command as a learner types it into a root shell on `spot.machine`."""
    if not spot.container:
        return command
    found = f"docker ps -qf label=io.kubernetes.pod.name={spot.pod} -f name=k8s_{spot.container}[.]"
    return f'docker exec -i "$({found})" sh -c {_quoted(command)}'


def _quoted(command: str) -> str:
    """In double quotes where that is safe and spares the reader the escape of a single quote."""
    return f'"{command}"' if "'" in command and not set(command) & set('"$`\\!') else shlex.quote(command)
