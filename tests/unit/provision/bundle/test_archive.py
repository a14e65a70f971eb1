import io
import tarfile
from pathlib import Path

import pytest

from labkit.provision.bundle.archive import open_bundle
from labkit.provision.errors import BundleError
from tests.unit.provision.bundle.conftest import Make


def test_every_byte_is_compared(make: Make) -> None:
    bundle = open_bundle(make())
    done: list[int] = []
    bundle.verify(done.append)
    assert sum(done) == bundle.manifest.size == 8 + 1_024_000


def test_a_member_is_what_went_in(make: Make) -> None:
    bundle = open_bundle(make(first=b"a" * 513, second=b"", third=b"c"))
    for member, content in zip(bundle.manifest.members, (b"a" * 513, b"", b"c"), strict=True):
        out = io.BytesIO()
        bundle.copy(member, out)
        assert out.getvalue() == content


def test_it_is_a_tar_that_anybody_can_open(make: Make) -> None:
    with tarfile.open(make()) as tar:
        assert tar.getnames() == ["manifest.json", "manifest.sig", "README.txt", "image"]


def test_a_copy_that_broke_off_is_told_by_its_length(make: Make) -> None:
    path = make()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match=r"has 5\d\d,\d{3} of 1,\d{3},\d{3} bytes \((49|50) %\): copy it again"):
        open_bundle(path)


@pytest.mark.parametrize("bytes_left", [0, 100, 512, 600, 1100])
def test_half_a_manifest_is_an_error_that_says_what_to_do(make: Make, bytes_left: int) -> None:
    path = make()
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(BundleError, match=r"is no labkit bundle|ends in the middle"):
        open_bundle(path)


def test_another_byte_in_a_member_is_found_and_named(make: Make) -> None:
    path = make()
    content = bytearray(path.read_bytes())
    content[-20_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"image is not what was signed"):
        open_bundle(path).verify()


def test_another_manifest_is_refused(make: Make) -> None:
    path = make()
    path.write_bytes(path.read_bytes().replace(b'"labkit": "0.1.0"', b'"labkit": "0.1.1"'))
    with pytest.raises(BundleError, match="changed after it was signed"):
        open_bundle(path)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n" * 200, bytes(4096)])
def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is no labkit bundle"):
        open_bundle(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        open_bundle(tmp_path / "x")
