"""labkit itself and all that it needs on other computers: Linux of one architecture, every Python that labkit runs on.

    own wheel (built in a checkout, packed again where labkit was installed from one)
      -> pip download for 3.11, 3.12, 3.13, each with what its own Python needs beside

pip judges a requirement such as `typing-extensions; python_version < "3.13"` by the Python that it runs on, also when
it fetches for another: what is missing then is found here and asked for by name.
"""

import base64
import hashlib
import importlib.metadata
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from labkit.cluster import REPOSITORY
from labkit.provision.errors import CommandFailed
from labkit.provision.process import run
from labkit.provision.wheels import Target

DISTRIBUTION = "labkit-classroom"
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC = (2, 31)
"""Of the oldest computers that it is for: Debian 11, Ubuntu 20.04 with a newer Python."""
SECONDS = 600
ROUNDS = 5
"""How deep requirements of one Python only may lie below each other."""
EPOCH = (2016, 1, 1, 0, 0, 0)
ADDED_BY_PIP = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD")

Say = Callable[[str], None]


def fetch(into: Path, arch: str, say: Say) -> Path:
    """A folder for `pip install --no-index --find-links`. Raises CommandFailed with pip's last words."""
    into.mkdir()
    own = own_wheel(into)
    for python in PYTHONS:
        say(f"fetching what labkit itself needs for Python {python}")
        with tempfile.TemporaryDirectory(dir=into.parent) as name:
            for path in _complete(own, Target(python, arch, GLIBC), Path(name)):
                path.replace(into / path.name)
    return into


def _complete(own: Path, target: Target, folder: Path) -> list[Path]:
    """All wheels for one Python, in the folder."""
    wanted: list[str] = []
    for _ in range(ROUNDS):
        words = [*target.pip_flags(), "--dest", str(folder), str(own), *wanted]
        _pip("fetching what labkit itself needs", "download", *words)
        found = sorted(folder.glob("*.whl"))
        lacking = missing(found, target.python)
        if not lacking:
            return found
        wanted += lacking
    raise CommandFailed("host", "fetching what labkit itself needs", tail=f"pip does not find {', '.join(lacking)}")


def missing(wheels: list[Path], python: str) -> list[str]:
    """The requirements of these wheels, on that Python under Linux, that none of them meets."""
    there = {canonicalize_name(parse_wheel_filename(path.name)[0]) for path in wheels}
    needed = (one for path in wheels for one in _requirements(path) if canonicalize_name(one.name) not in there)
    return sorted({f"{one.name}{one.specifier}" for one in needed if _holds(one, python)})


def _holds(requirement: Requirement, python: str) -> bool:
    environment = cast(dict[str, str], default_environment())
    environment |= {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def _requirements(wheel: Path) -> Iterator[Requirement]:
    with zipfile.ZipFile(wheel) as file:
        (name,) = [each for each in file.namelist() if each.count("/") == 1 and each.endswith(".dist-info/METADATA")]
        headers = HeaderParser().parsestr(file.read(name).decode())
    return map(Requirement, headers.get_all("Requires-Dist", []))


def own_wheel(into: Path) -> Path:
    """labkit's own wheel for hosts, in that folder. Raises CommandFailed."""
    if (REPOSITORY / "pyproject.toml").exists():
        _pip("building labkit's own wheel", "wheel", "--no-deps", "--wheel-dir", str(into), str(REPOSITORY))
        (path,) = into.glob("*.whl")
        return path
    return packed_again(importlib.metadata.distribution(DISTRIBUTION), into)


def packed_again(installed: importlib.metadata.Distribution, into: Path) -> Path:
    """The wheel that it was installed from: its files as pip's RECORD lists them, less what pip added itself."""
    path = into / f"{DISTRIBUTION.replace('-', '_')}-{installed.version}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in filter(_of_the_wheel, installed.files or ()):
            content = each.read_binary()  # as it is now: somebody may have changed it
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            file.writestr(zipfile.ZipInfo(str(each), EPOCH), content, zipfile.ZIP_DEFLATED)
            record.append(f"{each},sha256={digest},{len(content)}")
        about = f"{path.name.removesuffix('-py3-none-any.whl')}.dist-info/RECORD"
        file.writestr(zipfile.ZipInfo(about, EPOCH), "\n".join([*record, f"{about},,"]) + "\n")
    return path


def _of_the_wheel(path: importlib.metadata.PackagePath) -> bool:
    """Not bin/labkit, which pip makes anew, nor compiled files, nor what pip remembers of the installation."""
    remembered = path.parent.name.endswith(".dist-info") and path.name in ADDED_BY_PIP
    return ".." not in path.parts and "__pycache__" not in path.parts and not remembered


def _pip(what: str, *words: str) -> None:
    run(what, [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words], timeout=SECONDS)
