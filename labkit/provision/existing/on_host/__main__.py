"""python3 /var/lib/labkit/host.pyz open CLUSTER | seal | undo. Errors: a line on stderr, exit code 1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.provision.existing.on_host import ledger, things, undo

HOME = Path("/var/lib/labkit")
BEFORE = HOME / "before"
"""/etc as it was found: whole, with modes, owners and times."""
LEDGER, OWNER = HOME / "ledger.json", HOME / "owner"


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("expected root: sudo python3 /var/lib/labkit/host.pyz ...")
    verb, *rest = sys.argv[1:] or [""]
    if verb == "open" and len(rest) == 1:
        open_(rest[0])
    elif verb == "seal":
        write(LEDGER, ledger.sealed(read(), things.look()).dumps())
    elif verb == "undo":
        for line in undo.undo(read(), BEFORE) if LEDGER.exists() else []:
            print(line)
        shutil.rmtree(HOME)
    else:
        sys.exit("expected: open CLUSTER | seal | undo")


def open_(owner: str) -> None:
    """Nothing on the host is changed before this has ended: the ledger is written last."""
    now = things.look()
    if not LEDGER.exists():
        shutil.rmtree(BEFORE, ignore_errors=True)
        BEFORE.mkdir(mode=0o700)
        copy("/etc")
        write(OWNER, owner)
        write(LEDGER, ledger.opened(None, now)[0].dumps())
        return
    renewed, theirs = ledger.opened(read(), now, undo.is_rendered)
    for key in theirs:
        kind, _, path = key.partition(" ")
        if kind == "file":
            kept = BEFORE / path.lstrip("/")
            undo.remove(kept)
            if key in now and kept.parent.is_dir():
                copy(path)
            print(f"{path} was changed since by somebody else, and stays so")
    write(LEDGER, renewed.dumps())


def copy(path: str) -> None:
    subprocess.run(["cp", "--archive", "--parents", path, str(BEFORE)], check=True, timeout=120)


def read() -> ledger.Ledger:
    return ledger.Ledger.loads(LEDGER.read_text())


def write(path: Path, text: str) -> None:
    """Whole or not at all, for root only."""
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    with temporary.open() as file:
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    main()
