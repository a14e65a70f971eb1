"""Groups of version 1 as folders: what is made, what is told of the dead, what is left."""

from pathlib import Path

import pytest

from labkit.components.kubelet.memory_groups import LESS, MemoryGroups

LIMIT = 64 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712")
    return tmp_path


def lay_out(root: Path, name: str, most: int) -> str:
    """A group as it was left by a kubelet of before."""
    folder = root / "memory/kubelet/n" / name
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{LIMIT - LESS}\n")
    (folder / "memory.max_usage_in_bytes").write_text(f"{most}\n")
    return f"/kubelet/n/{name}"


def test_only_version_1_needs_them(root: Path, tmp_path: Path) -> None:
    assert MemoryGroups("n", root).usable()
    assert not MemoryGroups("n", tmp_path / "elsewhere").usable()


def test_what_happened_while_nobody_listened(root: Path) -> None:
    groups = MemoryGroups("n", root)
    full, roomy = lay_out(root, "full", LIMIT - LESS), lay_out(root, "roomy", LIMIT // 2)
    assert groups.killed(full, 137)
    assert not groups.killed(full, 1)
    assert not groups.killed(roomy, 137)
    assert not groups.killed("", 137)
    assert not groups.killed("/docker", 137)
    assert not groups.killed("/kubelet/other/full", 137)


def test_a_group_that_cannot_listen_is_refused(root: Path) -> None:
    """These folders are none of the kernel's: there is no memory.oom_control."""
    with pytest.raises(OSError, match=r"memory\.oom_control"):
        MemoryGroups("n", root).make(LIMIT)
