"""Takes back what labkit has done to this host, from what runs down to what it stood on. Any step may run twice.

    services stop -> pods' containers -> docker -> packages -> accounts -> files -> folders
    -> services as before -> firewall, interfaces, kernel settings

`undo` yields a line for each thing that is worth telling: somebody else's change that met ours.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from labkit.provision.existing.on_host import accounts, firewall
from labkit.provision.existing.on_host.ledger import Ledger, Things, to_undo
from labkit.provision.existing.on_host.things import fingerprint, look, run

OURS = ("etcd", "docker-registry", "docker-registry-push", "glusterd", "lab-net")
"""Services of ours beside those that have a file /etc/kubernetes/NAME.env."""
RENDERED = ("/etc/kubernetes/", "/etc/etcd/", "/etc/docker/", "/etc/lab/")
UNITS = Path("/etc/systemd/system")
MARK = b"# Rendered by labkit"
EDITED = Path("/var/lib/labkit-edited")
"""Where files go that were ours and that somebody has changed since."""
DOCKER = ("docker.service", "docker.socket", "containerd.service")
FOLDERS = ("/opt/labkit", "/usr/share/labkit", "/etc/kubernetes", "/etc/lab", "/etc/etcd", "/var/lib/kubelet",
           "/var/log/kube-apiserver", "/root/labs", "/root/.kube")  # fmt: skip


def undo(ledger: Ledger, copies: Path) -> Iterator[str]:
    """copies: the folder in which /etc is as it was found."""
    stop_services()
    remove_pods(ledger.before)
    stop_docker(ledger.before)
    unmount("/var/lib/kubelet")
    purge(to_undo(ledger, look()), ledger.before)
    left = to_undo(ledger, look())
    accounts.restore(left, ledger.before, copies)
    yield from restore_files(left, ledger, copies)
    remove_entries(left, ledger.before)
    for unit in UNITS.glob("*.service"):
        if f"file {unit}" not in ledger.before and is_rendered(f"file {unit}"):
            unit.unlink()
    run("systemctl", "daemon-reload")
    start_again(ledger.before)
    firewall.restore(ledger, look())


def stop_services() -> None:
    names = [*OURS, *(path.stem for path in Path("/etc/kubernetes").glob("*.env"))]
    run("systemctl", "stop", "labkit-rollback.timer", "labkit-rollback.service")
    run("systemctl", "disable", "--now", *(name for name in names if unit_exists(name)), timeout=120)
    run("systemctl", "reset-failed")


def unit_exists(name: str) -> bool:
    return run("systemctl", "cat", name).returncode == 0


def remove_pods(before: Things) -> None:
    """Containers (a host that had any was refused), and images, volumes and networks that came since."""
    containers = run("docker", "ps", "--all", "--quiet").stdout.split()
    if containers:
        run("docker", "rm", "--force", "--volumes", *containers, timeout=300)
    for key in look():
        kind, _, name = key.partition(" ")
        if kind in ("image", "volume", "network") and key not in before and "entry /var/lib/docker" in before:
            run("docker", kind, "rm", "--force", name)


def stop_docker(before: Things) -> None:
    if "active docker.service" not in before:
        run("systemctl", "stop", *DOCKER, timeout=120)


def unmount(root: str) -> None:
    """All that is mounted below, what was mounted last first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed([each for each in points if each.startswith(f"{root}/")]):
        run("umount", "--lazy", point)


def purge(left: Iterable[str], before: Things) -> None:
    """Packages that were not there go with their settings, those of which only settings were there keep these."""
    ours = [key.partition(" ")[2] for key in left if key.startswith("package ")]
    env = "DEBIAN_FRONTEND=noninteractive"
    if gone := [name for name in ours if f"package {name}" not in before]:
        run("env", env, "dpkg", "--purge", *gone, timeout=600)
    if settings := [name for name in ours if before.get(f"package {name}") == "config-files"]:
        run("env", env, "dpkg", "--remove", *settings, timeout=600)


def restore_files(left: Iterable[str], ledger: Ledger, copies: Path) -> Iterator[str]:
    """Files as they were, byte for byte; parents before what is in them."""
    for key in left:
        kind, _, path = key.partition(" ")
        if kind != "file" or path in accounts.FILES:
            continue
        if edited(path, ledger):
            EDITED.mkdir(mode=0o700, exist_ok=True)
            shutil.copy2(path, EDITED / path.strip("/").replace("/", "-"))
            yield f"{path} was labkit's and was changed since: that text is in {EDITED}"
        if key in ledger.before:
            put_back(Path(path), copies / path.lstrip("/"))
        else:
            remove(Path(path))


def is_rendered(key: str) -> bool:
    """Whether labkit renews that file by itself: it is in a folder of ours, or a unit that says so, or enables one."""
    kind, _, path = key.partition(" ")
    try:
        return kind == "file" and (path.startswith(RENDERED) or Path(path).read_bytes().startswith(MARK))
    except OSError:
        return False


def edited(path: str, ledger: Ledger) -> bool:
    """Whether somebody else has written into a file of ours; what labkit renders it may have renewed itself."""
    sealed = (ledger.sealed or {}).get(f"file {path}")
    now = fingerprint(path)
    changed = bool(sealed and now and now != sealed and len(now.split()) == len(sealed.split()) == 4)
    backup = path.endswith(("-", ".cache"))  # passwd-, ld.so.cache: written by whoever removes users and packages
    return changed and not backup and not is_rendered(f"file {path}")


def put_back(path: Path, copy: Path) -> None:
    """In place where it cannot be replaced: a file that is mounted, as docker does with /etc/hosts."""
    now = fingerprint(str(path))
    if now == fingerprint(str(copy)):
        return
    if copy.is_dir() and not copy.is_symlink():
        if now and not now.startswith("folder"):
            remove(path)
        path.mkdir(exist_ok=True)
    elif os.path.ismount(path):
        path.write_bytes(copy.read_bytes())
    else:
        if now and now.startswith("folder"):
            remove(path)
        done = run("cp", "--archive", "--no-target-directory", "--remove-destination", str(copy), str(path))
        if done.returncode:
            raise OSError(f"{path}: {done.stderr.strip()}")
        return
    found = copy.stat()
    os.chown(path, found.st_uid, found.st_gid)
    path.chmod(found.st_mode & 0o7777)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_entries(left: Iterable[str], before: Things) -> None:
    """Folders that packages, pods and labs have left: those that were not there, never across a mount."""
    ours = [key.partition(" ")[2] for key in left if key.startswith("entry ") and key not in before]
    found = {path for path in FOLDERS if not has(path, before)}
    for path in sorted({*ours, *found} - {str(EDITED)}):
        run("rm", "--recursive", "--force", "--one-file-system", path, timeout=300)


def has(path: str, before: Things) -> bool:
    return f"entry {path}" in before or f"file {path}" in before


def start_again(before: Things) -> None:
    """Services that ran and do not now; docker reads its settings anew in any case."""
    now = look()
    stopped = [key.partition(" ")[2] for key in before if key.startswith("active ") and key not in now]
    again = [unit for unit in stopped if unit_exists(unit)]
    if again:
        run("systemctl", "start", *again, timeout=120)
    if "active docker.service" in before:
        run("systemctl", "restart", "docker.service", timeout=120)
