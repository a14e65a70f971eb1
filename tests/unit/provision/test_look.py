"""The script that is sent to a machine, run here: its answer is what `facts` can read."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec

from labkit.provision.facts import LOOK, Facts


def look(files: list[str]) -> Facts:
    asked = json.dumps({"files": files, "units": []})
    done = subprocess.run(
        [sys.executable, "-I", "-", asked], input=LOOK.read_bytes(), capture_output=True, timeout=20, check=True
    )
    return msgspec.json.decode(done.stdout, type=Facts)


def test_files_are_told_by_content_mode_and_owner_and_absent_ones_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"secret")
    path.chmod(0o640)
    facts = look([str(path), str(tmp_path / "absent")])
    assert set(facts.files) == {str(path)}
    found = facts.files[str(path)]
    assert (found.digest, found.mode) == (hashlib.sha256(b"secret").hexdigest(), 0o640)
    assert found.owner.partition(":")[0] == path.owner()


def test_the_python_is_described_as_pip_needs_it() -> None:
    facts = look([])
    assert facts.target.python == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert facts.target.glibc > (2, 17)
    assert facts.arch
    assert "root" in facts.users
    assert facts.memory_used > 0
