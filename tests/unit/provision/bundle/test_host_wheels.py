"""labkit for other computers: what other Pythons need beside, and its own wheel from an installed one."""

import base64
import hashlib
import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

from labkit.provision.bundle.host_wheels import missing, packed_again


def wheel(folder: Path, name: str, *requirements: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = "".join(f"Requires-Dist: {each}\n" for each in requirements)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{about}")
    return path


def test_what_one_python_needs_and_another_does_not(tmp_path: Path) -> None:
    found = [
        wheel(
            tmp_path, "a", "Typing_Extensions>=4.2; python_version < '3.13'", "b", "pywin32; sys_platform == 'win32'"
        ),
        wheel(tmp_path, "b", "extra-thing; extra == 'more'", "c.d>=2"),
        wheel(tmp_path, "c_d"),
    ]
    assert missing(found, "3.11") == missing(found, "3.12") == ["Typing_Extensions>=4.2"]
    assert missing(found, "3.13") == []
    assert missing(found[:2], "3.13") == ["c.d>=2"]


def test_an_installed_wheel_is_packed_again_as_it_was(tmp_path: Path) -> None:
    site, about = tmp_path / "lib/site-packages", "labkit_classroom-9.0.dist-info"
    files = {
        "labkit/__init__.py": "__version__ = '9.0'\n",
        "labkit/shipped/Vagrantfile": "# machines\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: labkit-classroom\nVersion: 9.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\nlabkit = labkit:main\n",
        f"{about}/INSTALLER": "pip\n",
        f"{about}/direct_url.json": "{}",
        "labkit/__pycache__/__init__.cpython-311.pyc": "compiled",
        "../../bin/labkit": "#!/usr/bin/python3\n",
    }
    record = [f"{about}/RECORD,,"]
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(text)}")
    (site / about / "RECORD").write_text("\n".join(record))

    path = packed_again(importlib.metadata.PathDistribution(site / about), tmp_path)
    assert path.name == "labkit_classroom-9.0-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--quiet", "--target", str(tmp_path / "there"), str(path)], check=True)  # it proves RECORD
    assert (tmp_path / "there/labkit/shipped/Vagrantfile").read_text() == "# machines\n"
    assert zipfile.ZipFile(path).namelist() == [*list(files)[:5], f"{about}/RECORD"]
