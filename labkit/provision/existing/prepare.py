"""From a host to a machine on which `plan` can go on: what an image or a box brings along elsewhere.

    open the ledger -> packages -> the pods' images (master) -> lab-net -> the network step -> docker (agents)

Each step is skipped where it is done; a run that was cut off goes on where it stopped.
"""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import labkit
from labkit.cluster import Cluster, Machine
from labkit.provision import pod_images
from labkit.provision.boot import node_conf
from labkit.provision.existing import from_bundle, inventory, network, packages
from labkit.provision.lock import ON_MACHINE
from labkit.provision.ssh import Ssh

HOME = "/var/lib/labkit"
PROGRAM = f"{HOME}/host.pyz"
STAMP = f"{HOME}/prepared"
RECIPE = packages.LIST.parent
DOCKER = (
    "set -e; systemctl enable --quiet docker; now=$(sha256sum </etc/docker/daemon.json);"
    f' systemctl is-active --quiet docker && [ "$now" = "$(cat {HOME}/docker 2>/dev/null)" ]'
    f' || systemctl restart docker; echo "$now" >{HOME}/docker'
)
"""docker reads its settings when it starts. A restart ends the pods, so only where they have changed."""

Say = Callable[[str], None]


def prepare(ssh: Ssh, images: Path, say: Say = lambda line: None) -> bool:
    """Whether anything had to be done. Raises CommandFailed."""
    cluster, machine = ssh.cluster, ssh.machine
    wanted = digest(cluster, machine, images)
    is_open = ssh.run(f"test -e {HOME}/ledger.json", timeout=15, check=False).rc == 0
    done = f'[ "$(cat {STAMP} 2>/dev/null)" = {wanted} ] && systemctl is-active --quiet lab-net'
    done += " && systemctl is-active --quiet docker" if machine.is_agent else ""
    ready = is_open and ssh.run(done, timeout=15, check=False, what="look at the host").rc == 0
    say("remember how it is")
    open_ledger(ssh, inventory.identity(cluster))
    if ready:
        return False
    say("install packages")
    if not from_bundle.install(ssh):
        ssh.run(ON_MACHINE + packages.install(machine), timeout=packages.SECONDS, what="install packages")
    if machine.is_master:
        say("send the pods' images")
        send_images(ssh, images)
    say("the network step")
    ssh.run(f"{ON_MACHINE}tar --extract --directory=/", input=recipe(cluster, machine), what="write lab-net")
    network.step(ssh)
    if machine.is_agent:
        say("start docker")
        ssh.run(ON_MACHINE + DOCKER, timeout=120, what="start docker")
    ssh.run(f"echo {wanted} > {STAMP}", timeout=15)
    return True


def digest(cluster: Cluster, machine: Machine, images: Path) -> str:
    """What changes when a host has to be prepared anew."""
    found = hashlib.sha256(node_conf(cluster, machine).encode())
    for path in sorted(RECIPE.iterdir()):
        found.update(path.read_bytes())
    found.update(images.name.encode())
    return found.hexdigest()[:16]


def open_ledger(ssh: Ssh, owner: str) -> None:
    """The first thing that is written on a host: how it was found."""
    ssh.put(program(), PROGRAM, mode=0o700)
    ssh.run(f"{ON_MACHINE}chmod 700 {HOME} && python3 {PROGRAM} open '{owner}'", timeout=120, what="remember how it is")


def seal(ssh: Ssh) -> None:
    """The last thing of a change: all that differs is known to be ours. Nothing where nothing was ever changed."""
    ssh.run(
        f"{ON_MACHINE}test ! -e {HOME}/ledger.json || python3 {PROGRAM} seal",
        timeout=120,
        what="remember what was changed",
    )


def undo(ssh: Ssh) -> str:
    """Bring the host back to how it was found; what is worth telling, a line each. Nothing where it is not ours."""
    owner = ssh.run(f"cat {HOME}/owner 2>/dev/null", timeout=15, check=False).out.strip()
    if owner != inventory.identity(ssh.cluster):
        ssh.run(f"test -e {HOME}/owner || rm -rf {HOME}", timeout=15)  # cut off before it was remembered
        return ""
    ssh.put(program(), PROGRAM, mode=0o700)
    return ssh.run(f"{ON_MACHINE}python3 {PROGRAM} undo", timeout=packages.SECONDS, what="bring it back").out


def program() -> bytes:
    """The package on_host as a zip that Python runs, the same bytes from the same files."""
    root = Path(labkit.__file__).parent.parent
    package = Path(__file__).parent / "on_host"
    parents = [root / "labkit", root / "labkit/provision", root / "labkit/provision/existing"]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        main = "from labkit.provision.existing.on_host.__main__ import main\nmain()\n"
        archive.writestr(zipfile.ZipInfo("__main__.py"), main)
        for path in [*(parent / "__init__.py" for parent in parents), *sorted(package.glob("*.py"))]:
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(root))), path.read_bytes())
    return out.getvalue()


def send_images(ssh: Ssh, images: Path) -> None:
    folder, stamp = pod_images.FOLDER, f"{HOME}/images"
    if ssh.run(f'[ "$(cat {stamp} 2>/dev/null)" = {images.name} ]', timeout=15, check=False).rc == 0:
        return
    unpack = f"mkdir -p {folder} && tar --extract --no-same-owner --directory={folder} && echo {images.name} > {stamp}"
    ssh.run(ON_MACHINE + unpack, timeout=600, input=pod_images.tar(images), what="send the pods' images")


def recipe(cluster: Cluster, machine: Machine) -> bytes:
    """lab-net, its unit, and node.conf, as a tar whose paths are relative to /."""
    files = {
        "usr/local/sbin/lab-net": ((RECIPE / "lab-net").read_bytes(), 0o755),
        "etc/systemd/system/lab-net.service": ((RECIPE / "lab-net.service").read_bytes(), 0o644),
        "etc/lab/node.conf": (node_conf(cluster, machine).encode(), 0o644),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
