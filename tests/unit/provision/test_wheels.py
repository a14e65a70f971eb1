"""What fits a machine is decided by the machine's Python, never by the host's."""

import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from labkit.cluster import REPOSITORY
from labkit.provision import wheels
from labkit.provision.wheels import Target, blocks


def test_every_package_is_pinned_with_hashes() -> None:
    for name, text in blocks(wheels.LOCK.read_text()).items():
        assert re.match(rf"{re.escape(name)}==[^ ]+ --hash=sha256:[0-9a-f]{{64}}", text), name


def test_the_lock_has_what_pyproject_asks_for() -> None:
    """Packages of the extra `machine`, each in the range that pyproject.toml gives, and in the same on both sides."""
    from packaging.requirements import Requirement

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    locked = {name: text.split()[0].partition("==")[2] for name, text in blocks(wheels.LOCK.read_text()).items()}
    for line in project["optional-dependencies"]["machine"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[wanted.name.lower()]), line
    hosts = {Requirement(line).name: Requirement(line) for line in project["dependencies"]}
    for line in project["optional-dependencies"]["machine"]:
        wanted = Requirement(line)
        assert hosts.get(wanted.name, wanted) == wanted, f"{line}: another range on the host"


def test_the_lock_names_no_index() -> None:
    assert "://" not in wheels.LOCK.read_text()


def test_pip_is_told_the_machines_python_abi_and_architecture() -> None:
    flags = Target("3.12", "aarch64", (2, 31)).pip_flags()
    assert flags[:2] == ["--python-version", "3.12"]
    assert [flags[i + 1] for i, flag in enumerate(flags) if flag == "--abi"] == ["cp312", "abi3", "none"]
    platforms = [flags[i + 1] for i, flag in enumerate(flags) if flag == "--platform"]
    assert platforms[0] == "manylinux_2_31_aarch64"
    assert "manylinux_2_17_aarch64" in platforms
    assert not any("2_32" in platform or "x86" in platform for platform in platforms)


def test_our_wheel_is_the_same_twice_and_holds_the_machine_wing_alone(tmp_path: Path) -> None:
    first, second = wheels.build(), wheels.build()
    assert first.digest == second.digest
    path = tmp_path / first.name
    path.write_bytes(first.content)
    names = zipfile.ZipFile(path).namelist()
    assert "labkit/components/kube_proxy/__main__.py" in names
    assert "labkit/trace.py" in names
    assert not {name.split("/")[1] for name in names} & set(wheels.HOST_WING)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's code, to be changed."""
    shutil.copytree(REPOSITORY / "labkit", tmp_path / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_a_component_changes_with_its_own_code_and_the_ground_floor_only(copy: Path) -> None:
    def digests() -> dict[str, str]:
        built = wheels.build(copy)
        return {name: built.code_digest(name) for name in ("kube_apiserver", "kube_proxy", "kubelet")}

    def changed_by(path: str) -> set[str]:
        before = digests()
        (copy / "labkit" / path).write_text("# changed\n")
        return {name for name, digest in digests().items() if digest != before[name]}

    assert changed_by("components/kube_proxy/extra.py") == {"kube_proxy"}
    assert changed_by("storage/extra.py") == {"kube_apiserver"}
    assert changed_by("trace.py") == {"kube_apiserver", "kube_proxy", "kubelet"}
    assert changed_by("provision/extra.py") == set()
