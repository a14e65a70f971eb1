"""A GlusterFS server for a test: glusterd with one volume, on an address of its own, and nothing left of it.

192.0.2.N on lo        so that a glusterd of this machine, if there is one, is not in the way
a mount namespace      what it writes to /run/gluster and /var/log/glusterfs is seen by nobody; and gsyncd, which it
                       asks twenty questions at its start for copies on other continents (9 s), answers at once
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ANSWERS_SECONDS = 30
VOL = """volume management
    type mgmt/glusterd
    option working-directory {folder}/glusterd
    option run-directory {folder}/run
    option glusterd-sockfile {folder}/run/socket
    option transport-type socket
    option transport.socket.bind-address {address}
    option transport.socket.listen-port 24007
    option event-threads 1
    option max-port 60999
end-volume
"""
START = """set -e
mkdir -p /run/gluster /var/log/glusterfs
mount -t tmpfs none /run/gluster
mount -t tmpfs none /var/log/glusterfs
for program in /usr/lib/*/glusterfs/gsyncd; do
    [ ! -e $program ] || mount --bind {folder}/gsyncd $program
done
exec glusterd --no-daemon --volfile={folder}/vol --pid-file={folder}/run/pid --log-file={folder}/log
"""


def lacks() -> str:
    """Why there can be none here, "" when there can."""
    if shutil.which("glusterd") is None or not Path("/sbin/mount.glusterfs").exists():
        return "GlusterFS is not installed: tests/install.sh gets it (apt-get install glusterfs-server)"
    return "" if Path("/dev/fuse").exists() else "there is no /dev/fuse on this machine"


class Glusterd:
    """`address`: where its volume `data` is served. brick: the directory behind it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.brick = folder / "brick"

    async def gluster(self, *words: str) -> tuple[int, str]:
        """The administrator's tool: exit code, and what it printed."""
        socket = f"--glusterd-sock={self.folder}/run/socket"
        process = await asyncio.create_subprocess_exec(
            "gluster", socket, f"--log-file={self.folder}/cli.log", "--mode=script", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        return process.returncode or 0, printed

    async def offer(self) -> None:
        """Wait until it answers, then make the volume."""
        deadline = time.monotonic() + ANSWERS_SECONDS
        while (await self.gluster("pool", "list"))[0] != 0:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            await asyncio.sleep(0.1)
        for words in (("create", "data", f"{self.address}:{self.brick}", "force"), ("start", "data")):
            code, printed = await self.gluster("volume", *words)
            assert code == 0, printed

    def kill(self) -> None:
        """At once, with the process that serves the volume."""
        for file in [*self.folder.glob("run/vols/data/*.pid"), self.folder / "run/pid"]:
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


@asynccontextmanager
async def glusterd(folder: Path) -> AsyncIterator[Glusterd]:
    server = Glusterd(folder, f"192.0.2.{os.getpid() % 250 + 1}")
    for name in ("glusterd", "run", "brick"):
        (folder / name).mkdir(parents=True)
    (folder / "vol").write_text(VOL.format(folder=folder, address=server.address))
    (folder / "gsyncd").write_text("#!/bin/sh\necho gsyncd.py 10.3\n")
    (folder / "gsyncd").chmod(0o755)
    await _address("add", server.address)
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "sh", "-c", START.format(folder=folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        await server.offer()
        yield server
    finally:
        server.kill()
        await asyncio.wait_for(process.wait(), 10)
        await _address("delete", server.address)


async def _address(verb: str, address: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", "address", verb, f"{address}/32", "dev", "lo")
    assert await asyncio.wait_for(process.wait(), 10) == 0, f"ip address {verb} {address}"
