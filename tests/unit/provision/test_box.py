"""Which box virtual machines are made from, with a stand-in for `vagrant`; the build itself is `make test-vm`'s."""

import platform
from pathlib import Path

import pytest

from labkit.provision import box, box_tree
from labkit.provision.errors import CommandFailed

VAGRANT = """#!/bin/sh
# Knows the public box when there is a file $FAKE/internet.
echo "$*" >>"$FAKE/asked"
for box; do :; done
[ -e "$FAKE/internet" ] || { echo "could not be resolved" >&2; exit 1; }
mkdir -p "$VAGRANT_HOME/boxes/debian-VAGRANTSLASH-bookworm64/12.1/libvirt"
touch "$VAGRANT_HOME/boxes/debian-VAGRANTSLASH-bookworm64/12.1/libvirt/metadata.json"
"""
MODPROBE = """insmod /lib/modules/6.1.0/kernel/drivers/virtio/virtio.ko
insmod /lib/modules/6.1.0/kernel/drivers/virtio/virtio_ring.ko
builtin ext4
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vagrant").write_text(VAGRANT)
    (tmp_path / "bin" / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LABKIT_BOX", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(box, "_build", lambda progress: there(tmp_path, box.name()))
    return tmp_path


def there(fake: Path, name: str, *deeper: str) -> Path:
    """Vagrant has a box of that name."""
    folder = fake.joinpath("vagrant/boxes", name.replace("/", "-VAGRANTSLASH-"), "0", *deeper, "libvirt")
    folder.mkdir(parents=True)
    (folder / "metadata.json").touch()
    return folder


def test_the_public_box_is_taken_where_it_is_reached(fake: Path) -> None:
    (fake / "internet").touch()
    assert box.choose(lambda line: None) == box.PUBLIC
    assert box.choose(lambda line: None) == box.PUBLIC
    assert (fake / "asked").read_text().count("box add") == 1


def test_without_it_we_build_our_own_and_say_why(fake: Path) -> None:
    said: list[str] = []
    assert box.choose(said.append) == box.name()
    assert any("cannot be had (could not be resolved): labkit builds its own" in line for line in said)


def test_what_was_built_once_is_what_machines_are_made_from(fake: Path) -> None:
    (fake / "internet").touch()
    assert box.build(lambda line: None) == box.name()
    assert box.choose(lambda line: None) == box.name()
    assert not (fake / "asked").exists()


def test_one_may_choose(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_BOX", "own")
    assert box.choose(lambda line: None) == box.name()
    monkeypatch.setenv("LABKIT_BOX", "mine/debian")
    assert box.choose(lambda line: None) == "mine/debian"
    assert not (fake / "asked").exists()


def test_there_is_no_public_box_for_arm(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_pc = box.name()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert box.choose(lambda line: None) == box.name() != of_a_pc
    assert not (fake / "asked").exists()


@pytest.mark.parametrize("deeper", [(), ("amd64",)])
def test_boxes_lie_where_older_and_newer_vagrants_put_them(fake: Path, deeper: tuple[str, ...]) -> None:
    assert box.folder("labkit/x") is None
    folder = there(fake, "labkit/x", *deeper)
    assert box.folder("labkit/x") == folder


def test_what_the_build_lacks_is_named_with_its_package(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path="": None if name == "qemu-img" else name)
    with pytest.raises(CommandFailed, match="qemu-img is not installed: `apt-get install qemu-utils`"):
        box._check()


def test_drivers_are_loaded_in_the_order_that_modprobe_knows() -> None:
    assert [Path(path).name for path in box_tree.modules(MODPROBE)] == ["virtio.ko", "virtio_ring.ko"]
    assert box_tree.modules("modprobe: FATAL: Module virtio_mmio not found") == []
