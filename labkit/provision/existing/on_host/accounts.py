"""Users and groups that labkit or its packages have made, taken away by the system's own tools.

The account files are then as they were but for the order or an empty line, if nobody else has changed them meanwhile:
where they have the same lines as before, they get the same bytes.
"""

from collections.abc import Iterable
from pathlib import Path

from labkit.provision.existing.on_host.ledger import Things
from labkit.provision.existing.on_host.things import run

FILES = tuple(f"/etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid"))


def restore(left: Iterable[str], before: Things, copies: Path) -> None:
    changed = [key for key in left if key.startswith(("user ", "group "))]
    for key in changed:
        kind, _, name = key.partition(" ")
        if key not in before:
            run("userdel" if kind == "user" else "groupdel", name)
        elif kind == "group":
            run("gpasswd", "--members", before[key].partition(" ")[2], name)
    for path in map(Path, FILES):
        copy = copies / str(path).lstrip("/")
        if path.exists() and copy.exists() and same_lines(path.read_text(), copy.read_text()):
            run("cp", "--archive", "--remove-destination", str(copy), str(path))


def same_lines(one: str, other: str) -> bool:
    return sorted(one.split("\n")) == sorted(other.split("\n"))
