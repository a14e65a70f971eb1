"""A provider that is not installed is named, with what to do, before Vagrant is asked for anything."""

import platform
from pathlib import Path

import pytest

from labkit.cluster_rules import VIRTUAL
from labkit.provision import hypervisor, libvirt
from labkit.provision.problem import Problem


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with nothing on it; it is a Mac unless a test says otherwise."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    monkeypatch.setattr(hypervisor, "PLUGINS", ())
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    return tmp_path


def program(bare: Path, name: str) -> None:
    (bare / "bin" / name).write_text("#!/bin/sh\n")
    (bare / "bin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("provider", "system", "what", "mend"),
    [
        ("virtualbox", "Linux", "VirtualBox is not installed (there is no VBoxManage)", "virtualbox.org"),
        ("parallels", "Darwin", "Parallels Desktop is not installed", "Pro or Business"),
        ("parallels", "Linux", "Parallels Desktop is for macOS only", "--provider libvirt"),
        ("vmware_desktop", "Linux", "VMware is not installed", "Vagrant VMware Utility"),
        ("hyperv", "Windows", "Hyper-V is not installed", "Windows feature"),
        ("hyperv", "Linux", "Hyper-V is for Windows only", "--provider libvirt"),
    ],
)
def test_what_is_not_there_has_its_words_and_mend(
    bare: Path, monkeypatch: pytest.MonkeyPatch, provider: str, system: str, what: str, mend: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    first = hypervisor.problems(provider)[0]
    assert what in first.what
    assert mend in first.mend


def test_vagrants_plugin_is_asked_for_where_one_is_needed(bare: Path) -> None:
    program(bare, "prlctl")
    assert [one.mend for one in hypervisor.problems("parallels")] == ["`vagrant plugin install vagrant-parallels`"]
    (bare / "vagrant/gems/3.1.2/gems/vagrant-parallels-2.4.1").mkdir(parents=True)
    assert hypervisor.problems("parallels") == []


def test_what_is_there_is_no_problem(bare: Path) -> None:
    program(bare, "VBoxManage")
    assert hypervisor.problems("virtualbox") == []
    assert hypervisor.problems("docker") == []


def test_every_provider_of_virtual_machines_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "problems", lambda: [Problem("libvirt does not answer", "start it")])
    assert [one.what for one in hypervisor.problems("libvirt")] == ["libvirt does not answer"]
    assert {*hypervisor.KNOWN, "libvirt"} == set(VIRTUAL)
