"""facts -> difference -> commands: what must be done to a machine so that it is what it should be.

`plan` is pure. Its answer is a list of actions in order, each a shell command with a name, empty when there is nothing
to do. An action that leaves something to remember writes a stamp (/opt/labkit/stamps/NAME) in the same command, so a
run that was interrupted is taken up where it stopped.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.provision.desired import Desired
from labkit.provision.facts import Facts
from labkit.provision.registry import push_command
from labkit.provision.render import TEMPLATES
from labkit.provision.service import File, Service
from labkit.provision.venv import STAMPS, VENV, WHEELS, install_dependencies, stamp
from labkit.provision.wheels import Wheel

UNITS = "/etc/systemd/system/"
API_SERVER = "kube-apiserver"
ETCD_USERS = TEMPLATES / "etcd" / "users.sh"
STAGES = (("etcd", "docker-registry", "docker-registry-push"), (API_SERVER,))
"""What starts first, and together. All other services follow, together."""


@dataclass(frozen=True)
class Action:
    """One step on one machine.

    command: for the machine's shell, as root; input: bytes for its stdin, made when they are needed; timeout: seconds;
    units: the services whose journal tells why it failed; needs: a service of the cluster that must answer first.
    """

    title: str
    command: str
    input: Callable[[], bytes] = bytes
    timeout: float = 60
    units: tuple[str, ...] = ()
    needs: str = ""


@dataclass(frozen=True)
class Parcel:
    """What is installed on a machine, as bytes when they are asked for."""

    labkit: Wheel
    dependencies: Callable[[], bytes]
    """A tar of wheels that fit the machine."""


def plan(desired: Desired, facts: Facts, parcel: Parcel) -> list[Action]:
    """What to do to the machine; empty when it is what it should be."""
    return [
        *_users(desired, facts),
        *routes(desired, facts),
        *_files(desired, facts),
        *_packages(desired, facts, parcel),
        *_services(desired, facts),
        *_images(desired, facts),
    ]


def _users(desired: Desired, facts: Facts) -> Iterator[Action]:
    if any(service.user == "kube" for service in desired.services) and "kube" not in facts.users:
        yield Action(
            "create the user kube", "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin kube"
        )


def routes(desired: Desired, facts: Facts) -> Iterator[Action]:
    """All that another machine more or less changes on this one; nothing of what runs there notices."""
    file = desired.boot_conf
    found = facts.files.get(file.path)
    if found is None or found.digest != file.digest:
        command = f"mkdir -p /etc/lab && cat > {file.path} && systemctl restart lab-net"
        yield Action("renew routes and names of the other machines", command, lambda: file.content, units=("lab-net",))


def _files(desired: Desired, facts: Facts) -> Iterator[Action]:
    changed = [file for file in desired.all_files() if not _is_there(file, facts)]
    if changed:
        reload = " && systemctl daemon-reload" if any(file.path.startswith(UNITS) for file in changed) else ""
        stale = " ".join(f"{STAMPS}/unit-{each.name}" for each in desired.services if not _files_are_there(each, facts))
        command = f"rm -f {stale} && tar --extract --preserve-permissions --unlink-first --directory=/{reload}"
        yield Action(f"write {_count(changed, 'file')}", command, lambda: tar(changed))


def _is_there(file: File, facts: Facts) -> bool:
    found = facts.files.get(file.path)
    owner = f"{file.owner}:{file.owner}"
    return found is not None and (found.digest, found.mode, found.owner) == (file.digest, file.mode, owner)


def _files_are_there(service: Service, facts: Facts) -> bool:
    return all(_is_there(file, facts) for file in service.files)


def tar(files: list[File]) -> bytes:
    """The files with their modes and owners, by name, as a tar whose paths are relative to /."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(file.content), file.mode
            entry.uname = entry.gname = file.owner
            entry.uid = entry.gid = 65534  # counts only when the machine has no user of that name: nobody's then
            archive.addfile(entry, io.BytesIO(file.content))
    return out.getvalue()


def _packages(desired: Desired, facts: Facts, parcel: Parcel) -> Iterator[Action]:
    site = f"{VENV}/lib/python{facts.python}/site-packages"
    fresh = facts.stamps.get("lock") != f"{desired.lock} python{facts.python}"
    if fresh:
        yield Action(
            f"install the components' dependencies for Python {facts.python}",
            install_dependencies(facts.python, desired.lock),
            parcel.dependencies,
            timeout=180,
        )
    if fresh or facts.stamps.get("labkit") != desired.labkit:
        # A wheel of plain Python is installed by unpacking it, 20 times faster than by pip: `labkit push` waits.
        wheel = f"{WHEELS}/{parcel.labkit.name}"
        yield Action(
            "install labkit's components",
            f"set -e; cat > {wheel}; rm -rf {site}/labkit {site}/labkit-*.dist-info;"
            f" {VENV}/bin/python -m zipfile -e {wheel} {site};"
            f" {VENV}/bin/python -m compileall -q {site}/labkit; {stamp('labkit', desired.labkit)}",
            lambda: parcel.labkit.content,
        )


def _services(desired: Desired, facts: Facts) -> Iterator[Action]:
    early = [name for stage in STAGES for name in stage]
    stages = [*STAGES, tuple(name for name in desired.unit_names() if name not in early)]
    for stage in stages:
        stale = [service for service in desired.services if service.name in stage and _needs_start(service, facts)]
        if stale:
            yield start(stale, last=stage is stages[-1])
        if "etcd" in stage and "etcd" in desired.unit_names() and not facts.etcd_auth:
            yield Action("let etcd know its users", ETCD_USERS.read_text(), units=("etcd",))


def _needs_start(service: Service, facts: Facts) -> bool:
    unit = facts.units.get(service.name)
    running = unit is not None and unit.active == "active" and unit.enabled
    as_is = _files_are_there(service, facts) and facts.stamps.get(f"unit-{service.name}") == service.digest()
    return not (running and as_is)


def start(services: list[Service], last: bool) -> Action:
    """(Re)start them together. last: they need kube-apiserver."""
    names = [service.name for service in services]
    units = " ".join(names)
    stamps = "; ".join(stamp(f"unit-{service.name}", service.digest()) for service in services)
    return Action(
        f"start {', '.join(names)}",
        f"set -e; mkdir -p {STAMPS}; systemctl enable --quiet {units};"
        f" systemctl reset-failed {units} 2>/dev/null || :; systemctl restart {units}; {stamps}",
        timeout=90,
        units=tuple(names),
        needs=API_SERVER if last else "",
    )


def _images(desired: Desired, facts: Facts) -> Iterator[Action]:
    if not desired.machine.is_master:
        return
    for image, bytes_there in facts.images.items():
        if image not in facts.pushed or facts.stamps.get(f"image-{image}") != bytes_there:
            command = f"{push_command(image)} && {stamp(f'image-{image}', bytes_there)}"
            yield Action(f"push the image {image}", command, timeout=60, units=("docker-registry-push",))


def _count(things: list[File], noun: str) -> str:
    return f"{len(things)} {noun}{'s' if len(things) != 1 else ''}"
