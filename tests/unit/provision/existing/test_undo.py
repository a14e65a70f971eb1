"""Files put back byte for byte, and what is said of those that somebody has edited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.provision.existing import prepare
from labkit.provision.existing.on_host import things, undo
from labkit.provision.existing.on_host.ledger import Ledger


@pytest.fixture
def etc(tmp_path: Path) -> tuple[Path, Path]:
    """The folder as it is now, and its copy as it was found."""
    now, before = tmp_path / "etc", tmp_path / "before"
    now.mkdir()
    before.mkdir()
    return now, before


def same(path: Path, copy: Path) -> bool:
    return things.fingerprint(str(path)) == things.fingerprint(str(copy))


def test_a_file_gets_its_bytes_mode_and_time_back(etc: tuple[Path, Path]) -> None:
    path, copy = etc[0] / "hosts", etc[1] / "hosts"
    copy.write_bytes(b"127.0.0.1 localhost\n\0\xff")
    copy.chmod(0o640)
    os.utime(copy, (1, 1))
    path.write_text("ours")
    undo.put_back(path, copy)
    assert same(path, copy)
    assert path.stat().st_mtime == 1


def test_a_link_becomes_a_link_again(etc: tuple[Path, Path]) -> None:
    path, copy = etc[0] / "resolv.conf", etc[1] / "resolv.conf"
    copy.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    path.write_text("nameserver 10.0.0.10\n")
    undo.put_back(path, copy)
    assert path.readlink() == copy.readlink()


def test_a_folder_in_place_of_a_file_and_the_other_way_round(etc: tuple[Path, Path]) -> None:
    (etc[1] / "a").mkdir()
    (etc[0] / "a").write_text("")
    (etc[1] / "b").write_text("b")
    (etc[0] / "b").mkdir()
    for name in "ab":
        undo.put_back(etc[0] / name, etc[1] / name)
        assert same(etc[0] / name, etc[1] / name)


def test_nothing_is_touched_where_nothing_differs(etc: tuple[Path, Path]) -> None:
    for folder in etc:
        (folder / "x").write_text("same")
    inode = (etc[0] / "x").stat().st_ino
    undo.put_back(etc[0] / "x", etc[1] / "x")
    assert (etc[0] / "x").stat().st_ino == inode


def test_all_that_is_ours_goes_and_what_was_there_comes_back(etc: tuple[Path, Path]) -> None:
    now, before = etc
    (now / "ours").mkdir()
    (now / "ours/deep").write_text("x")
    (now / "gone").write_text("ours in its place")
    copies = Path(f"{before}{now}")
    copies.mkdir(parents=True)
    (copies / "gone").write_text("theirs")
    found = {f"file {now / 'gone'}": "644 0 0 aa"}
    left = [f"file {now / name}" for name in ("gone", "ours", "ours/deep")]
    assert list(undo.restore_files(left, Ledger(found), before)) == []
    assert sorted(path.name for path in now.iterdir()) == ["gone"]
    assert (now / "gone").read_text() == "theirs"


def test_an_edited_file_of_ours_is_told_and_kept(
    etc: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "EDITED", tmp_path / "edited")
    path = etc[0] / "hosts"
    path.write_text("ours, and a line by hand")
    sealed = {f"file {path}": "644 0 0 0123"}
    told = list(undo.restore_files([f"file {path}"], Ledger({}, [f"file {path}"], sealed), etc[1]))
    assert "was changed since" in told[0]
    assert [kept.read_text() for kept in (tmp_path / "edited").iterdir()] == ["ours, and a line by hand"]
    assert not path.exists()


def test_what_labkit_renders_it_may_renew_without_a_word(etc: tuple[Path, Path]) -> None:
    path = etc[0] / "my-scheduler.service"
    path.write_text("# Rendered by labkit from ...\n")
    assert undo.is_rendered(f"file {path}")
    assert not undo.is_rendered("user kube")
    assert not undo.is_rendered(f"file {etc[0] / 'nothing'}")


def test_the_program_for_the_host_runs_by_itself(tmp_path: Path) -> None:
    """With nothing of labkit but itself on the path."""
    assert prepare.program() == prepare.program()
    (tmp_path / "host.pyz").write_bytes(prepare.program())
    done = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "host.pyz"), "nonsense"], capture_output=True, text=True, timeout=30,
        env={}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("expected")


def test_things_of_this_computer_can_be_looked_at(etc: tuple[Path, Path]) -> None:
    (etc[0] / "file").write_text("x")
    (etc[0] / "folder").mkdir()
    (etc[0] / "link").symlink_to("file")
    found = dict(things.files(str(etc[0])))
    assert {key.rpartition("/")[2]: state.split()[0] for key, state in found.items()} == {
        "file": f"{(etc[0] / 'file').stat().st_mode & 0o7777:o}", "folder": "folder", "link": "link"
    }  # fmt: skip
    assert any(key.startswith("user ") for key in dict(things.accounts()))
