import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from labkit.provision import box, image, wheels
from labkit.provision.bundle import use
from labkit.provision.bundle.archive import open_bundle
from labkit.provision.bundle.create import BOX, IMAGE, PACKAGES, wheels_of
from labkit.provision.errors import BundleError
from labkit.provision.wheels import Target
from tests.unit.provision.bundle.conftest import Make

TARGET = Target("3.11", "x86_64", (2, 36))


def zipped() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("etcd3-0.12.0-py3-none-any.whl", b"a wheel")
    return out.getvalue()


def test_another_labkits_bundle_is_refused_with_both_names(make: Make) -> None:
    bundle = open_bundle(make())
    wanted = image.tags().node.rpartition(":")[2]
    with pytest.raises(BundleError, match=f"image is 123456789abc, this labkit wants {wanted}; it has no wheels"):
        use.unpack(bundle, "x86_64", "docker", lambda line: None)
    assert use.misfits(bundle, "aarch64")[0] == "it was made on x86_64 for x86_64, this computer is aarch64"


def test_wheels_go_where_up_looks_for_them(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setattr(image, "exists", lambda tag: True)
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), IMAGE: b"an image"})
    use.unpack(open_bundle(path), "x86_64", "docker", lambda line: None)
    found = wheels.fetch(TARGET)  # nothing is fetched: there is no network in a unit test
    assert [each.name for each in found.iterdir()] == ["etcd3-0.12.0-py3-none-any.whl"]


def test_nothing_of_a_broken_member_is_left(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), IMAGE: b"an image"})
    path.write_bytes(path.read_bytes().replace(b"a wheel", b"A WHEEL"))
    with pytest.raises(BundleError, match="not what was signed"):
        use.unpack(open_bundle(path), "x86_64", "docker", lambda line: None)
    assert not list((tmp_path / "wheels").iterdir())


def test_a_bundle_is_for_the_machines_that_it_has_something_for(make: Make) -> None:
    bundle = open_bundle(make(image=image.tags().node, **{wheels_of(TARGET): zipped(), IMAGE: b"an image"}))
    assert use.misfits(bundle, "x86_64") == use.misfits(bundle, "x86_64", "ssh") == []
    assert "no box" in use.misfits(bundle, "x86_64", "libvirt")[0]
    assert "not for virtualbox" in use.misfits(bundle, "x86_64", "virtualbox")[0]
    bundle.manifest.box = "labkit/machine-0"
    assert use.misfits(bundle, "x86_64", "libvirt") == [f"its box is labkit/machine-0, this labkit wants {box.name()}"]
    bundle.manifest.box = box.name()
    assert use.misfits(bundle, "x86_64", "libvirt") == []


def test_vagrant_gets_the_box_whole_and_only_once(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    given: list[bytes] = []
    monkeypatch.setattr(box, "add", lambda name, file: given.append(file.read_bytes()))
    path = make(**{wheels_of(TARGET): zipped(), BOX: b"a disk"})
    bundle = open_bundle(path)
    bundle.manifest.box = box.name()
    use.unpack(bundle, "x86_64", "libvirt", lambda line: None)
    assert given == [b"a disk"]
    path.write_bytes(path.read_bytes().replace(b"a disk", b"A disk"))
    with pytest.raises(BundleError, match=r"box\.tar\.gz is not what was signed"):
        use.unpack(bundle, "x86_64", "libvirt", lambda line: None)
    (tmp_path / "vagrant/boxes" / box.name().replace("/", "-VAGRANTSLASH-") / "0/libvirt").mkdir(parents=True)
    (tmp_path / "vagrant/boxes" / box.name().replace("/", "-VAGRANTSLASH-") / "0/libvirt/metadata.json").touch()
    use.unpack(bundle, "x86_64", "libvirt", lambda line: None)
    assert given == [b"a disk"]


def test_from_packages_the_image_is_built_out_of_a_mirror_of_files(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image, "exists", lambda tag: False)
    seen: list[str] = []

    def ensure(say: object, source: str) -> None:
        seen.extend(each.name for each in Path(source.removeprefix("file://")).iterdir())

    monkeypatch.setattr(image, "ensure_image", ensure)
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), PACKAGES: zipped()})
    use.unpack(open_bundle(path), "x86_64", "docker", lambda line: None)
    assert seen == ["etcd3-0.12.0-py3-none-any.whl"]
    assert not list((tmp_path / "cache/labkit").iterdir())


def test_debians_packages_stay_for_hosts_that_are_there_already(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setattr(image, "exists", lambda tag: True)
    keep = tmp_path / "class/debian"
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), PACKAGES: zipped()})
    for _ in range(2):  # the second finds it there
        use.unpack(open_bundle(path), "x86_64", "ssh", lambda line: None, keep)
        assert sorted(each.name for each in keep.iterdir()) == ["etcd3-0.12.0-py3-none-any.whl", "made-from"]
    (keep / "made-from").write_text("another bundle")
    (keep / "old.deb").touch()
    use.unpack(open_bundle(path), "x86_64", "ssh", lambda line: None, keep)
    assert not (keep / "old.deb").exists()
    assert [each.name for each in keep.parent.iterdir()] == ["debian"]
