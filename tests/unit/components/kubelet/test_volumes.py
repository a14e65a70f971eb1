"""Volumes on a disk, what is in them, and how it changes."""

import asyncio
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labkit.api.types import ConfigMap, Pod, Secret
from labkit.components.kubelet import git_repo, volume_writer
from labkit.components.kubelet.fake_mounts import FakeMounts
from labkit.components.kubelet.fields import lines, quoted
from labkit.components.kubelet.mounts import Mounted, mounted_below
from labkit.components.kubelet.sources import Found, Reference
from labkit.components.kubelet.volume_files import File, VolumeFailure, files_of
from labkit.components.kubelet.volumes import Volumes
from tests.unit.components.kubelet.pods import pod

SECRET = Secret(data={"user": b"root", "password": b"s3cret"})
FOUND: Found = {
    Reference(Secret, "db"): SECRET,
    Reference(ConfigMap, "web"): ConfigMap(data={"index.html": "hello"}, binary_data={"logo": b"\xff"}),
}
LABELLED = {"labels": {"tier": "front", "app": 'a "b"\n'}, "annotations": {"k": "v"}}


def one(**source: Any) -> Pod:
    return pod(volumes=[{"name": "v", **source}], metadata=LABELLED)


def files(found: Found = FOUND, **source: Any) -> dict[str, tuple[bytes, int]]:
    of = one(**source)
    return {path: (file.content, file.mode) for path, file in files_of(of.spec.volumes[0], of, found).items()}


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path, FakeMounts())


class TestFiles:
    """The decision."""

    def test_every_key_or_the_chosen_ones_with_their_modes(self) -> None:
        assert files(secret={"secretName": "db"}) == {"user": (b"root", 0o644), "password": (b"s3cret", 0o644)}
        items = [{"key": "user", "path": "a/b"}, {"key": "password", "path": "p", "mode": 0o400}]
        assert files(secret={"secretName": "db", "items": items, "defaultMode": 0o440}) == {
            "a/b": (b"root", 0o440), "p": (b"s3cret", 0o400),
        }  # fmt: skip
        assert files(configMap={"name": "web"}) == {"index.html": (b"hello", 0o644), "logo": (b"\xff", 0o644)}

    def test_fields_of_the_pod(self) -> None:
        paths = {"l": "metadata.labels", "n": "metadata.name", "one": "metadata.annotations['k']", "u": "metadata.uid"}
        items = [{"path": path, "fieldRef": {"fieldPath": field}} for path, field in paths.items()]
        assert {path: content for path, (content, _) in files(downwardAPI={"items": items}).items()} == {
            "l": b'app="a \\"b\\"\\n"\ntier="front"', "n": b"web", "one": b"v", "u": b"uid-web",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ({"secret": {"secretName": "no"}}, 'volume "v": secret "no" not found: create it, or set optional: true'),
            ({"configMap": {"name": "no"}}, 'volume "v": configmap "no" not found: create it, or set optional: true'),
            ({"secret": {"secretName": "db", "items": [{"key": "k", "path": "p"}]}},
             'volume "v": references non-existent key: k (there: password, user)'),
            ({"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "spec.x"}}]}},
             'volume "v": unsupported fieldPath: spec.x (supported: metadata.name, metadata.namespace, metadata.uid, '
             "metadata.labels, metadata.annotations)"),
        ],
    )  # fmt: skip
    def test_what_is_missing_is_named(self, source: dict[str, Any], told: str) -> None:
        with pytest.raises(VolumeFailure) as failure:
            files(**source)
        assert str(failure.value) == told

    def test_what_is_optional_may_be_missing(self) -> None:
        assert files(secret={"secretName": "no", "optional": True}) == {}
        items = [{"key": "k", "path": "p"}, {"key": "user", "path": "u"}]
        assert list(files(secret={"secretName": "db", "optional": True, "items": items})) == ["u"]

    def test_lines_and_quotes(self) -> None:
        assert lines({}) == ""
        assert quoted('a\tb\\"\x00é世\u200b') == '"a\\tb\\\\\\"\\x00é世\\u200b"'


class TestWriter:
    """Files that change all at once."""

    def test_links_to_one_directory_that_is_replaced(self, tmp_path: Path) -> None:
        assert volume_writer.write(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o400)})
        assert ((tmp_path / "a").read_text(), (tmp_path / "d/b").read_text()) == ("1", "2")
        assert (tmp_path / "a").readlink() == Path("..data/a")
        assert stat.S_IMODE((tmp_path / "d/b").stat().st_mode) == 0o400
        before = (tmp_path / "..data").readlink()
        assert not volume_writer.write(tmp_path, {"a": File(b"1"), "d/b": File(b"2", 0o400)})
        assert (tmp_path / "..data").readlink() == before

        assert volume_writer.write(tmp_path, {"a": File(b"new"), "c": File(b"3")})
        now = (tmp_path / "..data").readlink().name
        assert {entry.name for entry in tmp_path.iterdir()} == {"..data", now, "a", "c"}
        assert ((tmp_path / "a").read_text(), (tmp_path / "c").read_text()) == ("new", "3")

    def test_a_mode_alone_is_a_change(self, tmp_path: Path) -> None:
        volume_writer.write(tmp_path, {"a": File(b"1")})
        assert volume_writer.write(tmp_path, {"a": File(b"1", 0o600)})

    def test_one_that_was_killed_half_way_is_completed(self, tmp_path: Path) -> None:
        (tmp_path / "..2026_01_01.x").mkdir()
        (tmp_path / "..data_tmp").symlink_to("..2026_01_01.x")
        assert volume_writer.write(tmp_path, {"a": File(b"1")})
        assert (tmp_path / "a").read_text() == "1"
        assert not (tmp_path / "..2026_01_01.x").exists()

    def test_links_are_completed_too(self, tmp_path: Path) -> None:
        """Killed after the content was changed: one link was not made, one not removed yet."""
        volume_writer.write(tmp_path, {"a": File(b"1"), "b": File(b"2")})
        (tmp_path / "a").unlink()
        (tmp_path / "old").symlink_to("..data/old")
        assert not volume_writer.write(tmp_path, {"a": File(b"1"), "b": File(b"2")})
        assert {entry.name for entry in tmp_path.iterdir() if entry.name[:2] != ".."} == {"a", "b"}

    def test_who_sees_the_new_content_sees_every_new_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume_writer.write(tmp_path, {"a": File(b"1"), "old": File(b"1")})
        seen: list[str] = []

        def look(directory: Path, new: Path) -> None:  # the first thing that is done after the change
            seen.extend((directory / name).read_text() for name in ("a", "more"))

        monkeypatch.setattr(volume_writer, "_remove_others", look)
        volume_writer.write(tmp_path, {"a": File(b"2"), "more": File(b"3")})
        assert seen == ["2", "3"]

    @pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "..data", ""])
    def test_nothing_outside_of_the_volume(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(VolumeFailure, match="no path below a volume"):
            volume_writer.write(tmp_path / "v", {path: File(b"")})
        assert list(tmp_path.iterdir()) == []


class TestVolumes:
    async def test_empty_dir_is_made_for_every_user_and_keeps_its_content(self, volumes: Volumes) -> None:
        of = pod(volumes=[{"name": "scratch", "emptyDir": {}}, {"name": "etc", "hostPath": {"path": "/etc"}}])
        places = await volumes.set_up(of, {})
        scratch = volumes.root / "pods/uid-web/volumes/kubernetes.io~empty-dir/scratch"
        assert places == {"scratch": str(scratch), "etc": "/etc"}
        assert scratch.stat().st_mode & 0o777 == 0o777
        (scratch / "kept").touch()
        await volumes.set_up(of, {})
        assert (scratch / "kept").exists()

    async def test_in_memory(self, volumes: Volumes) -> None:
        """Secrets, fields of the pod, and an emptyDir that asks for it."""
        memory = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "64Ki"}}
        of = pod(volumes=[memory, {"name": "s", "secret": {"secretName": "db"}}, {"name": "d", "downwardAPI": {}},
                          {"name": "c", "configMap": {"name": "web"}}])  # fmt: skip
        places = await volumes.set_up(of, FOUND)
        mounts = volumes.mounts
        assert isinstance(mounts, FakeMounts)
        assert {path.name: size for path, size in mounts.sizes.items()} == {"m": 65536, "s": 4 << 20, "d": 4 << 20}
        assert Path(places["s"], "user").read_bytes() == b"root"
        assert Path(places["c"], "index.html").read_text() == "hello"
        assert stat.S_IMODE((volumes.root / "pods").stat().st_mode) == 0o700
        await volumes.tear_down("uid-web")
        assert mounts.sizes == {}
        assert volumes.pods() == set()

    async def test_all_goes_with_the_pod(self, volumes: Volumes) -> None:
        outside = volumes.root / "outside"
        outside.mkdir()
        (outside / "kept").touch()
        of = pod(volumes=[{"name": "scratch", "emptyDir": {}}, {"name": "host", "hostPath": {"path": str(outside)}}])
        scratch = Path((await volumes.set_up(of, {}))["scratch"])
        (scratch / "link").symlink_to(outside)
        words = volumes.termination_log("uid-web", "c")
        assert words.stat().st_mode & 0o777 == 0o666
        assert volumes.pods() == {"uid-web"}
        await volumes.tear_down("uid-web")
        assert volumes.pods() == set()
        assert (outside / "kept").exists()
        await volumes.tear_down("uid-web")

    async def test_what_somebody_else_mounted_stays(self, volumes: Volumes) -> None:
        place = Path((await volumes.set_up(one(emptyDir={}), {}))["v"]) / "theirs"
        place.mkdir()
        volumes.mounts.in_memory(place, 0o755)
        with pytest.raises(VolumeFailure, match=f"still mounted: {place}"):
            await volumes.tear_down("uid-web")
        assert place.is_dir()

    async def test_refresh(self, volumes: Volumes) -> None:
        """What differs is written; a source that went away leaves the files, and the other volumes are done."""
        of = pod(volumes=[{"name": "c", "configMap": {"name": "web"}}, {"name": "s", "secret": {"secretName": "db"}}])
        assert volumes.refresh(of, FOUND) == []  # not made yet: nothing to refresh
        assert volumes.pods() == set()
        places = await volumes.set_up(of, FOUND)
        assert volumes.refresh(of, FOUND) == []
        with pytest.raises(VolumeFailure, match='volume "c": configmap "web" not found'):
            volumes.refresh(of, {Reference(Secret, "db"): Secret(data={"user": b"toor"})})
        assert Path(places["c"], "index.html").read_text() == "hello"
        assert [path.name for path in Path(places["s"]).iterdir() if path.name[0] != "."] == ["user"]
        assert Path(places["s"], "user").read_bytes() == b"toor"

    async def test_a_part_of_a_volume(self, volumes: Volumes) -> None:
        def of(name: str, sub_path: str) -> Pod:
            mount = {"name": name, "mountPath": "/x", "subPath": sub_path}
            listed = [{"name": "c", "configMap": {"name": "web"}}, {"name": "e", "emptyDir": {}}]
            return pod({"name": "a", "image": "i", "volumeMounts": [mount]}, volumes=listed)

        places = await volumes.set_up(of("c", ""), FOUND)

        def parts(name: str, sub_path: str) -> dict[str, str]:
            asked = of(name, sub_path)
            return volumes.parts(asked, asked.spec.containers[0], places)

        assert Path(parts("c", "index.html")["c/index.html"]).read_text() == "hello"
        assert parts("c", "") == places
        for sub_path in ("nope", "../..", "/etc/passwd"):
            with pytest.raises(VolumeFailure, match=r"is not in it \(there: index.html, logo\)"):
                parts("c", sub_path)
        place = Path(parts("e", "a/part")["e/a/part"])
        assert place == volumes.root / "pods/uid-web/volume-subpaths/e/a/0"
        assert isinstance(volumes.mounts, FakeMounts)
        assert volumes.mounts.parts == {place: f"{places['e']}/a/part"}
        assert Path(parts("e", "other")["e/other"]) == place  # mounted anew
        (Path(places["e"]) / "out").symlink_to("/etc")
        with pytest.raises(VolumeFailure, match=r"subPath 'out': 'out' is a link"):
            parts("e", "out")
        await volumes.tear_down("uid-web")
        assert volumes.mounts.parts == {}
        assert volumes.pods() == set()

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ({"emptyDir": {"medium": "Huge"}}, 'volume "v": emptyDir medium Huge is not offered'),
            ({"rbd": {"image": "i"}}, 'volume "v": rbd is of a kind that this kubelet does not mount: use emptyDir'),
        ],
    )  # fmt: skip
    async def test_what_it_cannot_mount_is_named(self, volumes: Volumes, source: dict[str, Any], told: str) -> None:
        with pytest.raises(VolumeFailure, match=told):
            await volumes.set_up(one(**source), {})
        assert volumes.pods() == set()


class TestGit:
    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ({"repository": "--upload-pack=x"}, "gitRepo.repository: '--upload-pack=x' must not begin with '-'"),
            ({"repository": "https://h/r", "revision": "-x"}, "gitRepo.revision: '-x' must not begin with '-'"),
            ({"repository": "https://h/r", "directory": "../x"}, "gitRepo.directory: '../x': expected a folder below"),
            ({"repository": "https://h/r", "directory": "/x"}, "gitRepo.directory: '/x': expected a folder below"),
            ({"repository": "http://127.0.0.1:9/r.git"}, "git clone failed: .*127.0.0.1"),
        ],
    )
    async def test_what_is_refused(self, volumes: Volumes, source: dict[str, Any], told: str) -> None:
        with pytest.raises(VolumeFailure, match=f'volume "v": {told}'):
            await volumes.set_up(one(gitRepo=source), {})
        assert list((volumes.root / "pods/uid-web/volumes/kubernetes.io~git-repo").iterdir()) == []

    async def test_nothing_of_the_machine_itself(self, volumes: Volumes, tmp_path: Path) -> None:
        init = ["git", "init", "-q", "--bare", str(tmp_path / "r")]
        await asyncio.to_thread(subprocess.run, init, check=True, timeout=20)
        for repository in (str(tmp_path / "r"), f"file://{tmp_path}/r", f"ext::cat {tmp_path}/r/HEAD"):
            with pytest.raises(VolumeFailure, match=r"git clone failed: .*transport '(file|ext)' not allowed"):
                await volumes.set_up(one(gitRepo={"repository": repository}), {})

    async def test_without_git(self, volumes: Volumes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(VolumeFailure, match="git is not installed on this machine: install it"):
            await volumes.set_up(one(gitRepo={"repository": "https://h/r"}), {})

    async def test_a_clone_that_is_no_longer_wanted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """git is ended with the task that waits for it, and leaves nothing."""
        slow = tmp_path / "bin" / "git"
        slow.parent.mkdir()
        slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 100\n")
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
        source = one(gitRepo={"repository": "https://h/r"}).spec.volumes[0].git_repo
        assert source is not None
        task = asyncio.create_task(git_repo.clone(source, tmp_path / "volumes" / "v"))
        async with asyncio.timeout(5):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
        assert list((tmp_path / "volumes").iterdir()) == []


def test_what_is_mounted_below() -> None:
    lines = (
        "30 1 0:26 / / rw - overlay overlay rw\n"
        "31 30 0:40 / /var/lib/kubelet/pods/u/volumes/kubernetes.io~secret/s rw,nosuid - tmpfs tmpfs rw\n"
        "32 31 0:41 /x /var/lib/kubelet/pods/u/a\\040b rw shared:4 - ext4 /dev/vda rw\n"
        "33 30 0:42 / /var/lib/kubelet/pods/u2 rw - tmpfs tmpfs rw\n"
    )
    root = Path("/var/lib/kubelet/pods/u")
    assert mounted_below(lines, root) == [
        Mounted(root / "a b", "ext4"), Mounted(root / "volumes/kubernetes.io~secret/s", "tmpfs"),
    ]  # fmt: skip
