"""--policy-config-file: which predicates and priorities count, and how much.

    {
      "kind": "Policy", "apiVersion": "v1",
      "predicates": [
        {"name": "PodFitsResources"},
        {"name": "OneZone", "argument": {"serviceAffinity": {"labels": ["zone"]}}}
      ],
      "priorities": [
        {"name": "LeastRequestedPriority", "weight": 1},
        {"name": "Fast", "weight": 5, "argument": {"labelPreference": {"label": "ssd", "presence": true}}}
      ]
    }

Without an argument the name is one of Kubernetes' own or of a plug-in's (plugins.py); with one it is yours to choose.
A list that is left out means the defaults of DefaultProvider. Source: plugin/pkg/scheduler/api of Kubernetes 0.18.
"""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from labkit.components.kube_scheduler import labels
from labkit.components.kube_scheduler.algorithm import DEFAULT_PROVIDER, Algorithm
from labkit.components.kube_scheduler.plugins import known_predicates, known_priorities
from labkit.components.kube_scheduler.predicates import Predicate
from labkit.components.kube_scheduler.priorities import Priority

Decider = TypeVar("Decider")


class PolicyError(Exception):
    """The file cannot be used; the text names the file, the field and what was expected."""


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    labels: Annotated[list[str], msgspec.Meta(min_length=1)]


class LabelsPresence(Labels):
    presence: bool


class AntiAffinity(msgspec.Struct, forbid_unknown_fields=True):
    label: Annotated[str, msgspec.Meta(min_length=1)]


class LabelPreference(AntiAffinity):
    presence: bool


class PredicateArgument(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    service_affinity: Labels | None = None
    labels_presence: LabelsPresence | None = None


class PriorityArgument(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    service_anti_affinity: AntiAffinity | None = None
    label_preference: LabelPreference | None = None


class PredicatePolicy(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    argument: PredicateArgument | None = None


class PriorityPolicy(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    argument: PriorityArgument | None = None


class Policy(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    kind: str = "Policy"
    api_version: str = "v1"
    predicates: list[PredicatePolicy] | None = None
    priorities: list[PriorityPolicy] | None = None


def load(path: Path) -> Algorithm:
    """What the file asks for; PolicyError when it asks for something that there is not."""
    try:
        policy = msgspec.json.decode(path.read_bytes(), type=Policy)
    except OSError as exc:
        raise PolicyError(f"{path}: {exc.strerror}") from exc
    except msgspec.DecodeError as exc:
        raise PolicyError(f"{path}: {exc}") from exc
    try:
        return algorithm(policy)
    except PolicyError as exc:
        raise PolicyError(f"{path}: {exc}") from exc


def algorithm(policy: Policy) -> Algorithm:
    """The functions that a policy names."""
    if (policy.kind, policy.api_version) != ("Policy", "v1"):
        raise PolicyError(f"expected kind Policy of v1, got {policy.kind} of {policy.api_version}")
    chosen = DEFAULT_PROVIDER
    if policy.predicates is not None:
        _once("predicates", [each.name for each in policy.predicates])
        known = known_predicates()
        chosen = chosen._replace(
            predicates={
                each.name: _predicate(f"predicates[{n}]", each, known) for n, each in enumerate(policy.predicates)
            }
        )
    if policy.priorities is not None:
        _once("priorities", [each.name for each in policy.priorities])
        scores = known_priorities()
        chosen = chosen._replace(
            priorities={
                each.name: (_priority(f"priorities[{n}]", each, scores), each.weight)
                for n, each in enumerate(policy.priorities)
            }
        )
    return chosen


def _predicate(field: str, wanted: PredicatePolicy, known: Mapping[str, Predicate]) -> Predicate:
    given = wanted.argument
    if given is None:
        return _named(field, wanted.name, known)
    if given.service_affinity:
        return labels.service_affinity(given.service_affinity.labels)
    if given.labels_presence:
        return labels.labels_presence(given.labels_presence.labels, given.labels_presence.presence)
    raise PolicyError(f"{field}.argument: expected serviceAffinity or labelsPresence")


def _priority(field: str, wanted: PriorityPolicy, known: Mapping[str, Priority]) -> Priority:
    given = wanted.argument
    if given is None:
        return _named(field, wanted.name, known)
    if given.service_anti_affinity:
        return labels.service_anti_affinity(given.service_anti_affinity.label)
    if given.label_preference:
        return labels.label_preference(given.label_preference.label, given.label_preference.presence)
    raise PolicyError(f"{field}.argument: expected serviceAntiAffinity or labelPreference")


def _named(field: str, name: str, known: Mapping[str, Decider]) -> Decider:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise PolicyError(f"{field}.name: {name!r} is not known{hint} Known are {', '.join(sorted(known))}")


def _once(field: str, names: Collection[str]) -> None:
    if len(set(names)) != len(names):
        raise PolicyError(f"{field}: each name may stand there once")
