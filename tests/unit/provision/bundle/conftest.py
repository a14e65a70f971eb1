"""A small bundle: real files, a real signature, no image."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.provision.bundle import archive, keys
from labkit.provision.bundle.archive import Manifest
from labkit.provision.bundle.create import member

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def bundle(image: str = "labkit-node:123456789abc", **contents: bytes) -> Path:
        sources = {}
        for name, content in (contents or {"README.txt": b"read me\n", "image": bytes(range(256)) * 4000}).items():
            sources[name] = tmp_path / f"source-{name}"
            sources[name].write_bytes(content)
        key = keys.own()
        manifest = Manifest(
            format=1, labkit="0.1.0", made="2026-11-23T08:00:00Z", arch="x86_64", image=image, machines=[],
            public_key=keys.public(key), members=[member(name, path) for name, path in sources.items()],
        )  # fmt: skip
        path = tmp_path / "x.bundle"
        archive.write(path, manifest, sources, key.sign)
        return path

    return bundle
