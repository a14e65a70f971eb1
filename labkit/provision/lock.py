"""One labkit at a time changes a cluster: a lock on STATE/lock that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.cluster import Cluster
from labkit.provision.errors import CommandFailed

ON_MACHINE = "exec 9>/run/labkit.lock; flock --wait 60 9 || { echo 'another action still runs here'; exit 75; }; "
"""In front of a command: an action of a run that was interrupted may still be going on."""


@contextmanager
def only_one(cluster: Cluster) -> Iterator[None]:
    """Raises CommandFailed when another labkit is at work on this cluster."""
    path = cluster.state / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = file.read().strip()
            raise CommandFailed(
                "host",
                f"changing cluster {cluster.name}",
                tail=f"another labkit (process {holder}) is at work on it: wait for it, or end it",
            ) from exc
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.seek(0)
        file.truncate()
