"""Asks choose() of a scheduler what it would do: python try_choose.py mine.py. No cluster is needed."""

import runpy
import sys

from labkit.api.types import ObjectMeta, Pod, PodSpec


def pod(name, node="", **labels):
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels=labels), spec=PodSpec(node_name=node))


CASES = [
    ("near the pot", pod("spoon", near="pot"), [pod("pot", "b"), pod("x", "c")], "b"),
    ("also where it is crowded", pod("spoon", near="pot"), [pod("pot", "a"), pod("x", "a"), pod("y", "a")], "a"),
    ("near a pod that has no node yet", pod("spoon", near="pot"), [pod("pot"), pod("x", "a"), pod("y", "b")], "c"),
    ("near nobody: the emptiest", pod("fork"), [pod("pot", "a"), pod("x", "a"), pod("y", "c")], "b"),
]
choose = runpy.run_path(sys.argv[1])["choose"]
wrong = 0
for what, given, pods, expected in CASES:
    found = choose(given, ["a", "b", "c"], [given, *pods])
    wrong += found != expected
    print("ok   " if found == expected else "WRONG", f"{what}: {found}, expected {expected}")
sys.exit(wrong > 0)
