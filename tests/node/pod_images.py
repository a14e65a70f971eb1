"""Small images for tests on docker, made of the machine's static busybox: no registry is asked."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = f"labkit-test-{os.getpid()}"  # two runs on one docker do not take each other's away
BUSYBOX = f"{PREFIX}/busybox:1"
PAUSE = f"{PREFIX}/pause:1"
_users = 0
_APPLETS = (
    "sh", "sleep", "echo", "cat", "env", "hostname", "httpd", "ls", "mkdir", "true", "false", "wget", "id", "touch",
    "ip", "ipcs", "nc", "tar", "stty", "head", "wc", "test", "ps", "tty",
)  # fmt: skip


@contextmanager
def pod_images() -> Iterator[None]:
    """BUSYBOX and PAUSE on this machine's docker inside the block; blocks may overlap, the last one takes them away."""
    global _users
    _users += 1
    try:
        if _users == 1:
            archive = _root_file_system()
            _import(BUSYBOX, archive, "CMD sh")
            _import(PAUSE, archive, 'ENTRYPOINT ["sleep", "2147483647"]')
        yield
    finally:
        _users -= 1
        if not _users:
            remove = ["docker", "image", "rm", "-f", BUSYBOX, PAUSE]
            subprocess.run(remove, capture_output=True, timeout=60, check=False)


def _import(name: str, archive: bytes, change: str) -> None:
    command = ["docker", "import", "-c", change, "-c", "ENV PATH=/bin", "-", name]
    subprocess.run(command, input=archive, capture_output=True, timeout=60, check=True)


def _root_file_system() -> bytes:
    busybox = shutil.which("busybox")
    assert busybox, "needs a static busybox: apt-get install busybox-static"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        _file(archive, "bin/busybox", Path(busybox).read_bytes(), 0o755)
        _file(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n", 0o644)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return buffer.getvalue()


def _file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
