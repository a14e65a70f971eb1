"""Parts of volumes that containers write to: no step leads out."""

import os
from pathlib import Path

import pytest

from labkit.components.kubelet.sub_paths import open_part
from labkit.components.kubelet.volume_files import VolumeFailure


def found(top: Path, part: str) -> Path:
    descriptor = open_part(top, part)
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_there_and_what_is_made(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    before = descriptors()
    assert found(tmp_path, "a") == tmp_path / "a"
    assert found(tmp_path, "a/file") == tmp_path / "a/file"
    assert found(tmp_path, "./new//deep/") == tmp_path / "new/deep"
    assert (tmp_path / "new/deep").stat().st_mode & 0o777 == 0o777
    assert (tmp_path / "a").stat().st_mode & 0o777 != 0o777
    assert descriptors() == before


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("../x", "expected a path below the volume"),
        ("a/../../x", "expected a path below the volume"),
        ("/etc", "expected a path below the volume"),
        ("out", "'out' is a link, which could lead out of the volume"),
        ("out/x", "'out' is a link, which could lead out of the volume"),
        ("a/up/x", "'up' is a link"),
        ("a/nowhere", "'nowhere' is a link"),
        ("file/x", "what stands before 'x' is no directory"),
    ],
)
def test_nothing_leads_out(tmp_path: Path, part: str, told: str) -> None:
    top = tmp_path / "volume"
    (top / "a").mkdir(parents=True)
    (top / "out").symlink_to("/etc")
    (top / "a/up").symlink_to("..")
    (top / "a/nowhere").symlink_to("nowhere")
    (top / "file").touch()
    before = descriptors()
    with pytest.raises(VolumeFailure, match=told):
        open_part(top, part)
    assert descriptors() == before
    assert not (tmp_path / "x").exists()
