"""Virtual machines under libvirt: is this host ready for them, and how are they run here?

    kvm     the processor runs the machines itself. A /dev/kvm that is there proves nothing (a host that is a virtual
            machine may have one that fails): QEMU is asked to start on it.
    qemu    plain emulation where that fails: 8 to 15 times slower, and all the rest is the same

`ensure` decides once, for the life of the machines, and writes it down; `environment` is what the Vagrantfile is told:

    STATE/libvirt.json    {"box": "labkit/machine-0123...", "driver": "qemu", "files": "/...", "emulator": "/..."}

files: the folder with the kernel and the initrd of our own box, where libvirt's QEMU, a user of its own, can read them.
emulator: what is started in place of QEMU (templates/box/qemu-tcg), empty for QEMU itself.

Errors: CommandFailed with machine "host".
"""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from labkit.cluster import Cluster, state_root, write_private
from labkit.provision import box, program
from labkit.provision.errors import CommandFailed
from labkit.provision.problem import Problem
from labkit.provision.process import run

URI = "qemu:///system"
PUBLIC_FOLDER = Path("/var/lib/libvirt/boot")
"""libvirt's own place for kernels. Used as root only, whose home nobody else can enter."""
START_SECONDS = 20
DAEMONS = ("virtlogd", "libvirtd")
PLUGINS = (
    "/usr/share/rubygems-integration/all/gems",
    "/usr/share/vagrant-plugins/plugins.d",
    "/opt/vagrant/embedded/gems",
)
KERNEL_FILES = ("vmlinuz", "initrd.img", "qemu-tcg")

EMULATED = 6.0
"""How many times longer one waits for a machine whose processor is emulated; it is 8 to 15 times slower, and what is
waited for has a margin."""

Progress = Callable[[str], None]


class Setting(msgspec.Struct, frozen=True):
    """How this cluster's machines are made."""

    box: str
    driver: str
    files: str = ""
    emulator: str = ""


def ensure(cluster: Cluster, progress: Progress) -> Setting:
    """As it was decided at the first `up`, or decided now, which may build a box."""
    if known := setting(cluster):
        return known
    name = box.choose(progress)
    way = driver()
    progress("the processor runs the machines (KVM)" if way == "kvm" else "no KVM here: the machines are emulated")
    files = kernel_files(name) if box.is_own(name) else None
    wrapper = f"{files}/qemu-tcg" if files and way == "qemu" and not _confined() else ""
    decided = Setting(name, way, str(files or ""), wrapper)
    write_private(_path(cluster), msgspec.json.encode(decided) + b"\n")
    return decided


def setting(cluster: Cluster) -> Setting | None:
    """What was decided for the machines that exist; None before the first `up`."""
    try:
        return msgspec.json.decode(_path(cluster).read_bytes(), type=Setting)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def patience(cluster: Cluster) -> float:
    """What bounds of time are multiplied by; $LABKIT_PATIENCE says it for a host that is slow itself."""
    if given := os.environ.get("LABKIT_PATIENCE"):
        try:
            return max(float(given), 1.0)
        except ValueError:
            what = "expected a number such as 6: how many times longer to wait for machines"
            raise CommandFailed("host", "read LABKIT_PATIENCE", tail=f"{given!r}: {what}") from None
    known = setting(cluster) if cluster.provider == "libvirt" else None
    return EMULATED if known and known.driver == "qemu" else 1.0


def forget(cluster: Cluster) -> None:
    _path(cluster).unlink(missing_ok=True)


def environment(cluster: Cluster) -> dict[str, str]:
    """For the Vagrantfile."""
    known = setting(cluster)
    if known is None:
        return {}
    return {
        "LABKIT_BOX": known.box,
        "LABKIT_DRIVER": known.driver,
        "LABKIT_BOX_FILES": known.files,
        "LABKIT_EMULATOR": known.emulator,
        "LIBVIRT_DEFAULT_URI": URI,
    }


def _path(cluster: Cluster) -> Path:
    return cluster.state / "libvirt.json"


def driver() -> str:
    """kvm or qemu; $LABKIT_DRIVER says it where the question is answered wrongly."""
    if given := os.environ.get("LABKIT_DRIVER"):
        return given
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and _kvm_works() else "qemu"


def _kvm_works() -> bool:
    """A virtual processor of the kind that machines get, made and left: QEMU aborts where the host cannot do it."""
    command = [f"qemu-system-{platform.machine()}", "-nodefaults", "-display", "none", "-accel", "kvm", "-cpu", "host"]
    machine = [] if platform.machine() == "x86_64" else ["-machine", "virt"]
    try:
        done = subprocess.run(
            [*command, *machine, "-m", "64", "-S", "-monitor", "stdio"],
            input=b"quit\n", capture_output=True, timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def kernel_files(name: str) -> Path:
    """The folder with the own box's kernel, which another user can enter: Vagrant's, or root's copy."""
    folder = box.folder(name)
    if folder is None:
        raise CommandFailed("host", "find the box", tail=f"Vagrant has no box {name}: `labkit box build` makes it")
    if not closed_folders(folder):
        return folder
    if os.geteuid() == 0:
        return _copied(folder, PUBLIC_FOLDER / name.replace("/", "-"))
    closed = " ".join(str(path) for path in closed_folders(folder))
    mend = f"QEMU runs as another user and cannot enter {closed}: `chmod o+x {closed}` lets it pass, not look around"
    raise CommandFailed("host", "give QEMU the kernel", tail=mend)


def closed_folders(folder: Path) -> list[Path]:
    """Those on the way to the folder, itself included, through which others may not pass."""
    return [path for path in (*reversed(folder.parents), folder) if not path.stat().st_mode & 0o001]


def _copied(folder: Path, to: Path) -> Path:
    to.mkdir(parents=True, exist_ok=True)
    to.chmod(0o755)
    for name in KERNEL_FILES:
        partial = to / f".{name}"
        shutil.copyfile(folder / name, partial)
        partial.chmod(0o755 if name == "qemu-tcg" else 0o644)
        partial.rename(to / name)
    return to


def _confined() -> bool:
    """Whether AppArmor is on, under which libvirt starts no program but QEMU."""
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
    except OSError:
        return False


def problems() -> list[Problem]:
    """What stands in the way of machines, empty when nothing."""
    refused = refusal()
    return missing() or ([refused] if refused else [])


def can_start() -> bool:
    """Only where nobody else looks after services: as root on a machine that systemd does not run."""
    return os.geteuid() == 0 and not Path("/run/systemd/system").exists() and not missing() and not answers()


def missing() -> list[Problem]:
    """What is not installed."""
    found = []
    if not _plugin():
        found.append(Problem("vagrant has no plugin for libvirt", "`apt-get install vagrant-libvirt`"))
    for needed, package in (
        (
            f"qemu-system-{platform.machine()}",
            "qemu-system-x86" if platform.machine() == "x86_64" else "qemu-system-arm",
        ),
        ("libvirtd", "libvirt-daemon-system libvirt-daemon-driver-qemu"),
        ("virsh", "libvirt-clients"),
        ("dnsmasq", "dnsmasq-base"),
    ):
        if not program.where(needed):
            found.append(Problem(f"{needed} is not installed", f"`apt-get install --no-install-recommends {package}`"))
    return found


def running(cluster: Cluster) -> set[str]:
    """The names of machines that run; nobody when libvirt does not answer."""
    try:
        listed = run("ask libvirt", ["virsh", "--connect", URI, "list", "--name"], timeout=20).split()
    except CommandFailed:
        return set()
    return {machine.name for machine in cluster.machines if cluster.container(machine) in listed}


def answers() -> bool:
    return refusal() is None


def refusal() -> Problem | None:
    try:
        run("ask libvirt", ["virsh", "--connect", URI, "version"], timeout=20)
    except CommandFailed as exc:
        if "denied" in exc.tail or "authentication" in exc.tail:
            mend = "`sudo usermod --append --groups libvirt $USER`, then log in again"
            return Problem("libvirt runs, but this user may not talk to it", mend)
        return Problem("libvirt does not answer", "`sudo systemctl start libvirtd`")
    return None


def start(progress: Progress) -> None:
    """virtlogd and libvirtd in the background, their logs in the state directory."""
    progress("libvirt is not running: starting virtlogd and libvirtd")
    _open_kvm()
    for name in DAEMONS:
        log = state_root() / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("ab") as file:
            process = subprocess.Popen(
                [name], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/"
            )
        log.with_suffix(".pid").write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if time.monotonic() > deadline:
            raise CommandFailed("host", "start libvirt", "libvirtd", tail=log.read_text(errors="replace"))
        time.sleep(0.2)


def stop() -> None:
    """End what `start` started; machines that still run go on without."""
    for name in reversed(DAEMONS):
        pid = state_root() / f"{name}.pid"
        if pid.exists() and _is(int(pid.read_text()), name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGTERM)
        pid.unlink(missing_ok=True)


def _is(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    except OSError:
        return False


def _open_kvm() -> None:
    """What udev does where it runs. Otherwise libvirt, which finds KVM as root and may not use it as QEMU's user,
    looks again each time that it is asked anything (15 s)."""
    with contextlib.suppress(OSError, LookupError):
        shutil.chown("/dev/kvm", group="kvm")
        Path("/dev/kvm").chmod(0o660)


def bridge(cluster: Cluster) -> str:
    """The host's interface on the machines' network; empty when it is not there."""
    try:
        printed = run("ask libvirt", ["virsh", "--connect", URI, "net-info", cluster.network], timeout=20)
    except CommandFailed:
        return ""
    return next((line.split()[1] for line in printed.splitlines() if line.startswith("Bridge:")), "")


def _plugin() -> bool:
    places = [Path(place) for place in PLUGINS] + [box.home() / "gems"]
    return any(path for place in places if place.is_dir() for path in place.rglob("vagrant-libvirt*"))
