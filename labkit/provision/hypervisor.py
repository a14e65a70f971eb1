"""What makes virtual machines, is it installed? One answer for every provider of them, before Vagrant is started.

    problems("virtualbox") -> [Problem("VirtualBox is not installed (there is no VBoxManage)", "install it ...")]

Vagrant would say so too, some seconds later, and for libvirt with advice that leads astray (it wants to compile).
"""

import platform
import shutil
from pathlib import Path

import msgspec

from labkit.provision import box, libvirt
from labkit.provision.problem import Problem

PLUGINS = ("/usr/share/rubygems-integration/all/gems", "/opt/vagrant/embedded/gems")


class Hypervisor(msgspec.Struct, frozen=True):
    """programs: any one of these is enough, on PATH or in full. plugin: what Vagrant needs beside it, if anything."""

    title: str
    programs: tuple[str, ...]
    install: str
    plugin: str = ""
    systems: tuple[str, ...] = ()
    """Where it exists at all, as platform.system() says; everywhere when empty."""


KNOWN = {
    "virtualbox": Hypervisor(
        "VirtualBox", ("VBoxManage", "/usr/local/bin/VBoxManage"),
        "install it from virtualbox.org (on Apple Silicon 7.1 or newer), or `apt-get install virtualbox`"),
    "parallels": Hypervisor(
        "Parallels Desktop", ("prlctl", "/usr/local/bin/prlctl"), "install Parallels Desktop, edition Pro or Business",
        "vagrant-parallels", ("Darwin",)),
    "vmware_desktop": Hypervisor(
        "VMware", ("vmrun", "/Applications/VMware Fusion.app/Contents/Library/vmrun"),
        "install VMware Workstation (Fusion on a Mac) and the Vagrant VMware Utility",
        "vagrant-vmware-desktop"),
    "hyperv": Hypervisor(
        "Hyper-V", ("powershell", "powershell.exe", "pwsh"), "switch on the Windows feature Hyper-V",
        "", ("Windows",)),
}  # fmt: skip


def problems(provider: str) -> list[Problem]:
    """What of the provider is missing; empty when nothing is, and for docker, which is looked at elsewhere."""
    if provider == "libvirt":
        return libvirt.problems()
    known = KNOWN.get(provider)
    return _missing(known) if known else []


def _missing(known: Hypervisor) -> list[Problem]:
    if known.systems and platform.system() not in known.systems:
        where = " or ".join("macOS" if name == "Darwin" else name for name in known.systems)
        return [Problem(f"{known.title} is for {where} only", "take another provider: `labkit up --provider libvirt`")]
    found = []
    if not any(shutil.which(program) for program in known.programs):
        what = f"{known.title} is not installed (there is no {known.programs[0]})"
        found.append(Problem(what, f"{known.install}; or take another provider: `labkit up --provider docker`"))
    if known.plugin and not _has_plugin(known.plugin):
        what = f"vagrant has no plugin for {known.title}"
        found.append(Problem(what, f"`vagrant plugin install {known.plugin}`"))
    return found


def _has_plugin(name: str) -> bool:
    """Vagrant keeps its own in VAGRANT_HOME/gems/RUBY/gems/NAME-VERSION."""
    own = box.home() / "gems"
    return any(folder.glob(f"{name}-[0-9]*") for folder in (*own.glob("*/gems"), *map(Path, PLUGINS)))
