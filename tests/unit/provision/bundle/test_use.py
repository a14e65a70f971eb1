import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from labkit.provision import image, wheels
from labkit.provision.bundle import use
from labkit.provision.bundle.archive import open_bundle
from labkit.provision.bundle.create import IMAGE, wheels_of
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
        use.unpack(bundle, "x86_64", lambda line: None)
    assert use.misfits(bundle, "aarch64")[0] == "it was made on x86_64 for x86_64, this computer is aarch64"


def test_wheels_go_where_up_looks_for_them(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setattr(image, "exists", lambda tag: True)
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), IMAGE: b"an image"})
    use.unpack(open_bundle(path), "x86_64", lambda line: None)
    found = wheels.fetch(TARGET)  # nothing is fetched: there is no network in a unit test
    assert [each.name for each in found.iterdir()] == ["etcd3-0.12.0-py3-none-any.whl"]


def test_nothing_of_a_broken_member_is_left(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    path = make(image=image.tags().node, **{wheels_of(TARGET): zipped(), IMAGE: b"an image"})
    path.write_bytes(path.read_bytes().replace(b"a wheel", b"A WHEEL"))
    with pytest.raises(BundleError, match="not what was signed"):
        use.unpack(open_bundle(path), "x86_64", lambda line: None)
    assert not list((tmp_path / "wheels").iterdir())
