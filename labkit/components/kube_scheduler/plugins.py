"""Predicates and priorities of other people: functions found by entry point, fenced in while they run.

In the pyproject.toml of a package on the master's Python:

    [project.entry-points."labkit.scheduler.predicates"]
    EvenNodesOnly = "my_package:even_nodes_only"           # (pod, node, view) -> bool

    [project.entry-points."labkit.scheduler.priorities"]
    Lightest = "my_package:lightest"                       # (pod, nodes, view) -> {node name: 0 to 10}

A policy file switches them on by their name. One that raises, answers nonsense or does not come back within a second
costs the pod that it was asked about this try, with an event that names it; the scheduler goes on.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import FrameType
from typing import Any

from labkit.api.types import Node, Pod
from labkit.components.kube_scheduler.predicates import PREDICATES, Predicate
from labkit.components.kube_scheduler.priorities import HIGHEST, PRIORITIES, Priority
from labkit.components.kube_scheduler.view import View

PATIENCE = 1.0  # seconds for one answer


class PluginTrouble(Exception):
    """A plug-in did not do its work; the text names it and says what happened."""


def known_predicates() -> dict[str, Predicate]:
    """Kubernetes' own and those of plug-ins, by name."""
    return PREDICATES | {name: predicate(name, found) for name, found in _found("labkit.scheduler.predicates")}


def known_priorities() -> dict[str, Priority]:
    """Kubernetes' own and those of plug-ins, by name."""
    return PRIORITIES | {name: priority(name, found) for name, found in _found("labkit.scheduler.priorities")}


def _found(group: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for entry in entry_points(group=group):
        try:
            yield entry.name, entry.load()
        except Exception as exc:
            raise PluginTrouble(f"{group}: {entry.name} = {entry.value!r} cannot be loaded: {exc!r}") from exc


def predicate(name: str, function: Callable[..., Any]) -> Predicate:
    """The function behind a fence."""

    def fits(pod: Pod, node: Node, view: View) -> bool:
        with fence(f"predicate {name}"):
            answer = function(pod, node, view)
            if not isinstance(answer, bool):
                raise TypeError(f"expected True or False, got {answer!r}")
            return answer

    return fits


def priority(name: str, function: Callable[..., Any]) -> Priority:
    """The function behind a fence."""

    def prioritize(pod: Pod, nodes: Sequence[Node], view: View) -> dict[str, int]:
        with fence(f"priority {name}"):
            answer = function(pod, nodes, view)
            expected = {node.metadata.name for node in nodes}
            if not isinstance(answer, dict) or answer.keys() != expected:
                raise TypeError(f"expected a score for each of {', '.join(sorted(expected))}, got {answer!r}")
            if wrong := [score for score in answer.values() if type(score) is not int or not 0 <= score <= HIGHEST]:
                raise ValueError(f"expected scores from 0 to {HIGHEST}, got {wrong[0]!r}")
            return answer

    return prioritize


@contextmanager
def fence(what: str, seconds: float = PATIENCE) -> Iterator[None]:
    """Whatever goes wrong inside comes out as PluginTrouble; an endless loop is broken by the alarm clock.

    Main thread only, as Python hands signals to no other; C code that never returns cannot be broken.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception as exc:
        raise PluginTrouble(f"{what}: {type(exc).__name__}: {exc}") from exc
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
