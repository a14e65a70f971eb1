"""Programs that only root's PATH leads to are there too."""

from pathlib import Path

import pytest

from labkit.provision import program


def test_roots_folders_are_looked_at_after_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("bin", "sbin"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "debootstrap").write_text("#!/bin/sh\n")
        (tmp_path / folder / "debootstrap").chmod(0o755)
    monkeypatch.setattr(program, "FOR_ROOT", str(tmp_path / "sbin"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert program.where("debootstrap") == str(tmp_path / "bin/debootstrap")
    (tmp_path / "bin/debootstrap").unlink()
    assert program.where("debootstrap") == str(tmp_path / "sbin/debootstrap")
    assert program.where("no-such-program") is None
