"""What a cut-off `up` left under libvirt is cleared away, and what is somebody else's is not; `virsh` is a stand-in."""

from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import boot, half_made
from labkit.provision.errors import CommandFailed

VIRSH = """#!/bin/sh
# Knows the machines $FAKE/domains/NAME (their XML) and the volumes $FAKE/volumes/NAME (their XML).
shift 2; echo "$*" >>"$FAKE/asked"
for last; do :; done
case $1 in
list) ls "$FAKE/domains" ;;
dumpxml) cat "$FAKE/domains/$last" ;;
domstate) echo running ;;
undefine) rm "$FAKE/domains/$last" ;;
vol-list) printf ' Name Path\\n----\\n'; ls "$FAKE/volumes" | sed 's/.*/ & \\/images\\/&/' ;;
vol-dumpxml) cat "$FAKE/volumes/$last" ;;
vol-delete) rm "$FAKE/volumes/$last" ;;
esac
"""
BASE = "labkit-VAGRANTSLASH-machine-1_vagrant_box_image_0_17_box.img"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("bin", "domains", "volumes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin/virsh").write_text(VIRSH)
    (tmp_path / "bin/virsh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    return tmp_path


@pytest.fixture
def cluster(fake: Path) -> Cluster:
    made = clusters.init("lab", provider="libvirt")
    boot.prepare(made)
    clusters.write_private(made.state / "libvirt.json", b'{"box": "labkit/machine-1", "driver": "qemu"}')
    return made


def left(fake: Path) -> set[str]:
    return {path.name for folder in ("domains", "volumes") for path in (fake / folder).iterdir()}


def test_a_disk_without_a_machine_is_removed(fake: Path, cluster: Cluster) -> None:
    for name in ("lab-agent1.img", "lab-agent2.img", "other-agent1.img"):
        (fake / "volumes" / name).touch()
    half_made.clear(cluster, ["agent1"], lambda line: None)
    assert left(fake) == {"lab-agent2.img", "other-agent1.img"}


def test_a_machine_that_vagrant_forgot_goes_with_its_disk(fake: Path, cluster: Cluster) -> None:
    key = (cluster.state / "ssh/id_ed25519.pub").read_text().strip()
    (fake / "domains/lab-agent1").write_text(f"<arg value='name=opt/labkit/key.pub,string={key}'/>")
    (fake / "volumes/lab-agent1.img").touch()
    half_made.clear(cluster, ["agent1"], lambda line: None)
    assert left(fake) == set()
    assert "destroy lab-agent1" in (fake / "asked").read_text()


def test_somebody_elses_machine_is_named_and_left_alone(fake: Path, cluster: Cluster) -> None:
    (fake / "domains/lab-agent1").write_text("<domain/>")
    (fake / "volumes/lab-agent1.img").touch()
    with pytest.raises(CommandFailed, match="lab-agent1 that is not of this cluster: give this cluster another name"):
        half_made.clear(cluster, ["agent1"], lambda line: None)
    assert left(fake) == {"lab-agent1", "lab-agent1.img"}


@pytest.mark.parametrize(("size", "age", "stays"), [(1000, 3600, True), (400, 3600, False), (400, 5, True)])
def test_half_a_box_in_the_pool_is_removed_unless_it_still_grows(
    fake: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, size: int, age: int, stays: bool
) -> None:
    folder = fake / "vagrant/boxes/labkit-VAGRANTSLASH-machine-1/0/libvirt"
    folder.mkdir(parents=True)
    (folder / "metadata.json").touch()
    (folder / "box.img").write_bytes(bytes(1000))
    xml = f"<physical unit='bytes'>{size}</physical><timestamps><mtime>{10000 - age}.5</mtime></timestamps>"
    (fake / "volumes" / BASE).write_text(xml)
    monkeypatch.setattr(half_made.time, "time", lambda: 10000.0)
    half_made.clear(cluster, [], lambda line: None)
    assert left(fake) == ({BASE} if stays else set())


def test_nothing_is_asked_of_machines_that_are_there(fake: Path, cluster: Cluster) -> None:
    (fake / "domains/lab-master").write_text("<domain/>")
    half_made.clear(cluster, [], lambda line: None)
    assert left(fake) == {"lab-master"}
