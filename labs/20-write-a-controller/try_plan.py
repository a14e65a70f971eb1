"""Six questions for plan(): no cluster, no watch, no clock. With `broken`, one for wanted_by() as well.

try_plan.py FILE [broken]
"""

import runpy
import sys

from labkit.api.types import ConfigMap, ObjectMeta

file = runpy.run_path(sys.argv[1])
Do, plan = file["Do"], file["plan"]
QUESTIONS = [
    ("nothing is wanted, nothing there", {}, {}, []),
    ("one is missing", {"a": 2}, {}, [Do("create", "a", 2)]),
    ("all is as wanted", {"a": 2, "b": 1}, {"b": 1, "a": 2}, []),
    ("one has the wrong size", {"a": 2}, {"a": 5}, [Do("scale", "a", 2)]),
    ("one is there that nobody wants", {}, {"a": 2}, [Do("delete", "a")]),
    ("one of each", {"a": 1, "b": 2}, {"b": 1, "c": 3}, [Do("create", "a", 1), Do("scale", "b", 2), Do("delete", "c")]),
]
wrong = 0
for what, wanted, there, expected in QUESTIONS:
    answer = [(do.what, do.name, do.replicas) for do in plan(wanted, there)]
    hoped = [(do.what, do.name, do.replicas) for do in expected]
    if sorted(answer) == sorted(hoped):
        print(f"right: {what}")
    else:
        wrong += 1
        print(f"WRONG: {what}: plan({wanted}, {there}) is {answer}, expected {hoped}")
if sys.argv[2:] == ["broken"]:
    sites = [
        ConfigMap(metadata=ObjectMeta(name="a"), data={"replicas": "2"}),
        ConfigMap(metadata=ObjectMeta(name="b"), data={"replicas": "many"}),
        ConfigMap(metadata=ObjectMeta(name="c")),
    ]
    try:
        answer = file["wanted_by"](sites)
    except Exception as exc:
        answer = repr(exc)
    if answer == {"a": 2}:
        print("right: two sites that cannot be read are left out")
    else:
        wrong += 1
        print(f"WRONG: two of three sites cannot be read: wanted_by(...) is {answer}, expected {{'a': 2}}")
sys.exit(1 if wrong else 0)
