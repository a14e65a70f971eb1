"""How virtual machines are run on this host, with a stand-in for QEMU and virsh."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import box, libvirt
from labkit.provision.errors import CommandFailed


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    monkeypatch.delenv("LABKIT_DRIVER", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return tmp_path


@pytest.fixture
def cluster(fake: Path) -> Cluster:
    return clusters.init("lab", provider="libvirt")


def program(fake: Path, name: str, script: str) -> None:
    (fake / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (fake / "bin" / name).chmod(0o755)


@pytest.mark.parametrize(("script", "driver"), [("read line; exit 0", "kvm"), ("exit 134", "qemu"), ("", "kvm")])
def test_kvm_is_asked_to_work_not_looked_at(
    fake: Path, monkeypatch: pytest.MonkeyPatch, script: str, driver: str
) -> None:
    program(fake, "qemu-system-x86_64", script)
    monkeypatch.setattr(os, "access", lambda path, mode: path == "/dev/kvm")
    assert libvirt.driver() == driver
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert libvirt.driver() == "qemu"
    monkeypatch.setenv("LABKIT_DRIVER", "kvm")
    assert libvirt.driver() == "kvm"


def own_box(fake: Path) -> Path:
    folder = fake / "vagrant/boxes/labkit-VAGRANTSLASH-machine-1/0/libvirt"
    folder.mkdir(parents=True)
    for name in ("metadata.json", *libvirt.KERNEL_FILES):
        (folder / name).write_text(name)
    return folder


def test_qemu_can_read_the_kernel_or_it_is_said_what_is_closed(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_box(fake)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(libvirt, "closed_folders", lambda _: [])
    assert libvirt.kernel_files("labkit/machine-1") == folder
    monkeypatch.setattr(libvirt, "closed_folders", lambda _: [Path("/home/me")])
    with pytest.raises(CommandFailed, match="cannot enter /home/me: `chmod o\\+x /home/me`"):
        libvirt.kernel_files("labkit/machine-1")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(libvirt, "PUBLIC_FOLDER", fake / "public")
    copied = libvirt.kernel_files("labkit/machine-1")
    assert (copied / "vmlinuz").read_text() == "vmlinuz"
    assert (copied / "qemu-tcg").stat().st_mode & 0o777 == 0o755
    with pytest.raises(CommandFailed, match="`labkit box build` makes it"):
        libvirt.kernel_files("labkit/gone")


def test_closed_folders_are_those_that_others_may_not_pass(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)
    assert tmp_path / "a" in libvirt.closed_folders(tmp_path / "a/b")
    (tmp_path / "a").chmod(0o711)
    assert tmp_path / "a" not in libvirt.closed_folders(tmp_path / "a/b")


def test_it_is_decided_once_for_the_life_of_the_machines(
    fake: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_box(fake)
    monkeypatch.setattr(box, "choose", lambda progress: "labkit/machine-1")
    monkeypatch.setattr(libvirt, "driver", lambda: "qemu")
    monkeypatch.setattr(libvirt, "kernel_files", lambda name: Path("/files"))
    monkeypatch.setattr(libvirt, "_confined", lambda: False)
    assert libvirt.environment(cluster) == {}
    libvirt.ensure(cluster, lambda line: None)
    monkeypatch.setattr(libvirt, "driver", lambda: "kvm")
    libvirt.ensure(cluster, lambda line: None)
    assert libvirt.environment(cluster) == {
        "LABKIT_BOX": "labkit/machine-1", "LABKIT_DRIVER": "qemu", "LABKIT_BOX_FILES": "/files",
        "LABKIT_EMULATOR": "/files/qemu-tcg", "LIBVIRT_DEFAULT_URI": "qemu:///system",
    }  # fmt: skip
    libvirt.forget(cluster)
    assert libvirt.setting(cluster) is None


def test_a_public_box_has_its_own_kernel(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "choose", lambda progress: box.PUBLIC)
    monkeypatch.setattr(libvirt, "driver", lambda: "kvm")
    assert libvirt.ensure(cluster, lambda line: None) == libvirt.Setting(box.PUBLIC, "kvm")


def test_what_is_not_installed_is_named_with_its_package(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path="": None)
    monkeypatch.setattr(libvirt, "PLUGINS", ())
    said = "\n".join(f"{one.what}: {one.mend}" for one in libvirt.missing())
    for package in ("vagrant-libvirt", "qemu-system-x86", "libvirt-daemon-system", "libvirt-clients", "dnsmasq-base"):
        assert f"{package}" in said
    assert libvirt.problems() == libvirt.missing()
    assert not libvirt.can_start()


@pytest.mark.parametrize(
    ("answer", "mend"),
    [
        ("echo error: access denied by policy; exit 1", "usermod --append --groups libvirt"),
        ("echo error: failed to connect to the hypervisor; exit 1", "systemctl start libvirtd"),
    ],
)
def test_libvirt_that_does_not_answer_has_a_mend(fake: Path, answer: str, mend: str) -> None:
    program(fake, "virsh", answer)
    refused = libvirt.refusal()
    assert refused is not None
    assert mend in refused.mend


def test_what_libvirt_knows_of_the_machines(fake: Path, cluster: Cluster) -> None:
    program(
        fake,
        "virsh",
        'case "$3" in list) echo lab-master; echo other-agent1 ;; net-info) echo "Bridge: virbr7" ;; esac',
    )
    assert libvirt.running(cluster) == {"master"}
    assert libvirt.bridge(cluster) == "virbr7"
    program(fake, "virsh", "exit 1")
    assert libvirt.running(cluster) == set()
    assert libvirt.bridge(cluster) == ""


def test_one_waits_longer_for_emulated_machines(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_PATIENCE", raising=False)
    assert libvirt.patience(cluster) == 1
    clusters.write_private(cluster.state / "libvirt.json", b'{"box": "labkit/machine-1", "driver": "qemu"}')
    assert libvirt.patience(cluster) == libvirt.EMULATED
    clusters.write_private(cluster.state / "libvirt.json", b'{"box": "labkit/machine-1", "driver": "kvm"}')
    assert libvirt.patience(cluster) == 1
    monkeypatch.setenv("LABKIT_PATIENCE", "3")
    assert libvirt.patience(cluster) == 3
    monkeypatch.setenv("LABKIT_PATIENCE", "long")
    with pytest.raises(CommandFailed, match="'long': expected a number"):
        libvirt.patience(cluster)


def test_only_what_we_started_is_ended(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in libvirt.DAEMONS:
        program(fake, name, "exec sleep 60")
    program(fake, "virsh", "exit 0")
    monkeypatch.setattr(libvirt, "_open_kvm", lambda: None)
    libvirt.start(lambda line: None)
    pids = [int((fake / f"home/{name}.pid").read_text()) for name in libvirt.DAEMONS]
    libvirt.stop()
    assert [os.waitpid(pid, os.WNOHANG)[0] for pid in pids] == [0, 0]  # by now they are `sleep`: somebody else's
    monkeypatch.setattr(libvirt, "_is", lambda pid, name: True)
    for name, pid in zip(libvirt.DAEMONS, pids, strict=True):
        (fake / f"home/{name}.pid").write_text(str(pid))
    libvirt.stop()
    assert [os.waitpid(pid, 0)[0] for pid in pids] == pids
    assert not list((fake / "home").glob("*.pid"))


def test_the_emulator_is_given_its_cache_and_all_else_as_it_was(tmp_path: Path) -> None:
    script = (Path(libvirt.__file__).parent.parent / "templates/box/qemu-tcg").read_text()
    assert script.count('exec "/usr/bin/qemu-system-$(uname -m)" "$@"') == 1
    spy = script.replace('exec "/usr/bin/qemu-system-$(uname -m)"', "printf '%s|'")
    for memory_kb, cache in ((3_000_000, 128), (20_000_000, 512)):
        meminfo = tmp_path / "meminfo"
        meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable:   {memory_kb} kB\n")
        words = ["-accel", "tcg", "-m", "768", "-append", "a b"]
        done = subprocess.run(
            ["sh", "-c", spy.replace("/proc/meminfo", str(meminfo)), "qemu", *words],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        assert done.stdout == f"-accel|tcg,thread=multi,tb-size={cache}|-m|768|-append|a b|"
