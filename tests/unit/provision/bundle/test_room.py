"""A bundle handed over: whole, gone on with, or refused."""

from pathlib import Path

import pytest

from labkit.provision.bundle import fetch as fetching
from labkit.provision.bundle.archive import open_bundle
from labkit.provision.bundle.fetch import fetch
from labkit.provision.bundle.serve import Server
from labkit.provision.errors import BundleError, CommandFailed
from tests.unit.provision.bundle.conftest import Make


async def test_a_copy_is_the_same_file(make: Make, tmp_path: Path) -> None:
    path, seen = make(), []
    server = Server(open_bundle(path), lambda copies: seen.append(dict(copies.taken)))
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}/x.bundle"
    bundle = await fetch(url, tmp_path / "copy", lambda have, of: None)
    await server.stop()
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    assert seen[-1] == {"127.0.0.1": path.stat().st_size}
    bundle.verify()
    assert not list(tmp_path.glob("copy.part*"))


async def test_a_copy_that_broke_off_goes_on(make: Make, tmp_path: Path) -> None:
    path = make()
    server = Server(open_bundle(path))
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}/x.bundle"
    part = tmp_path / "copy.part"
    part.write_bytes(path.read_bytes()[:500_000])
    part.with_name("copy.part.etag").write_text(f'"{open_bundle(path).digest[:32]}"')
    told: list[int] = []
    await fetch(url, tmp_path / "copy", lambda have, of: told.append(have))
    await server.stop()
    assert told[0] > 500_000
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


async def test_part_of_another_file_is_begun_anew(make: Make, tmp_path: Path) -> None:
    path = make()
    server = Server(open_bundle(path))
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}/x.bundle"
    (tmp_path / "copy.part").write_bytes(b"x" * 700_000)
    (tmp_path / "copy.part.etag").write_text('"yesterday"')
    await fetch(url, tmp_path / "copy")
    await server.stop()
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


async def test_what_is_no_bundle_is_not_kept(tmp_path: Path, make: Make) -> None:
    path = make()
    server = Server(open_bundle(path))
    port = await server.start("127.0.0.1", 0)
    with pytest.raises(BundleError, match="is no labkit bundle"):
        await fetch(f"http://127.0.0.1:{port}/", tmp_path / "copy")
    with pytest.raises(CommandFailed, match="404"):
        await fetch(f"http://127.0.0.1:{port}/other", tmp_path / "copy")
    await server.stop()
    assert not list(tmp_path.glob("copy*"))


async def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with pytest.raises(CommandFailed, match=r"fetch http://127\.0\.0\.1:1/x failed"):
        await fetch("http://127.0.0.1:1/x", tmp_path / "copy")
