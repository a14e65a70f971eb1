"""Components of somebody's own: Python files that `labkit push FILE` makes services of the master.

my_scheduler.py   ->  STATE/own/my-scheduler.py    kept, so that `labkit up` knows it too
                  ->  my-scheduler.service, with a certificate of its own: user labkit:my-scheduler, whose group
                      labkit:own may read and write the ordinary objects (templates/abac.jsonl)
"""

import ast
import re
from pathlib import Path

from labkit.cluster import Cluster, Machine, write_private
from labkit.provision.units import unit_names

GROUP = "labkit:own"
NAME = re.compile(r"[a-z][a-z0-9-]{1,40}[a-z0-9]")


class OwnFileError(Exception):
    """A file that cannot be a component; the text names the file, the line if there is one, and what was expected."""

    exit_code = 2


def names(cluster: Cluster) -> list[str]:
    """The services of the master that are somebody's own."""
    return sorted(path.stem for path in (cluster.state / "own").glob("*.py"))


def services(cluster: Cluster, machine: Machine) -> list[str]:
    """All services of labkit's on a machine: by its roles, of its storage, and somebody's own."""
    storage = ["glusterd"] if machine in cluster.storage_servers else []
    return unit_names(machine) + storage + (names(cluster) if machine.is_master else [])


def content(cluster: Cluster, name: str) -> bytes:
    return (cluster.state / "own" / f"{name}.py").read_bytes()


def keep(cluster: Cluster, path: Path) -> str:
    """Check the file and keep it with the cluster; the name of its service. Raises OwnFileError."""
    name = path.stem.replace("_", "-").lower()
    if not NAME.fullmatch(name):
        raise OwnFileError(
            f"{path}: expected a file name that can be a service's: letters, digits and _, like my_loop.py"
        )
    if taken := [each for machine in cluster.machines for each in unit_names(machine) if each == name]:
        raise OwnFileError(f"{path}: {taken[0]} is a service of labkit's own, expected another file name")
    try:
        source = path.read_bytes()
    except OSError as exc:
        raise OwnFileError(f"{path}: cannot be read: {exc.strerror}") from exc
    check(path, source)
    write_private(cluster.state / "own" / f"{name}.py", source)
    return name


def check(path: Path, source: bytes) -> None:
    """Raises OwnFileError unless it is Python with an `async def run(client)`."""
    try:
        module = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as exc:
        line = f":{exc.lineno}" if isinstance(exc, SyntaxError) and exc.lineno else ""
        raise OwnFileError(f"{path}{line}: {exc.args[0] if exc.args else exc}") from exc
    found = [node for node in module.body if isinstance(node, ast.AsyncFunctionDef) and node.name == "run"]
    if not found or len(found[-1].args.args) != 1:
        raise OwnFileError(f"{path}: expected `async def run(client)`, the component's work")


def forget(cluster: Cluster, name: str) -> None:
    (cluster.state / "own" / f"{name}.py").unlink(missing_ok=True)
    for suffix in ("crt", "key"):
        (cluster.state / "pki" / f"own-{name}.{suffix}").unlink(missing_ok=True)
