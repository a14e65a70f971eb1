"""The node image: when it is built, from where, and what is said when it cannot be."""

import shutil
from pathlib import Path

import pytest

from labkit.provision import image, tree, wheels
from labkit.provision.errors import CommandFailed, TimedOut

DOCKER = """#!/bin/sh
# Stands in for docker: an image is a file in $IMAGES.
case "$1 $2" in
"image ls") [ -e "$IMAGES/$4" ] && echo some-id ;;
"build "*) while [ $# -gt 1 ]; do [ "$1" = --tag ] && touch "$IMAGES/$2"; shift; done ;;
esac
exit 0
"""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("IMAGES", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LABKIT_IMAGE_REPOSITORY", raising=False)
    return folder


@pytest.mark.parametrize(
    ("sources", "environment", "expected"),
    [
        ("", "", image.DEFAULT_MIRROR),
        ("Debian http://mirror.example/debian/\n", "", "http://mirror.example/debian"),
        (
            "Debian http://sec.example/debian-security/\nDebian https://m.example/debian\n",
            "",
            "https://m.example/debian",
        ),
        ("Ubuntu http://ubuntu.example/ubuntu/\n", "", image.DEFAULT_MIRROR),
        ("Debian cdrom://disc/\nDebian mirror+file:/etc/list\n", "", image.DEFAULT_MIRROR),
        ("Debian http://mirror.example/debian/\n", "http://chosen.example/debian/", "http://chosen.example/debian"),
    ],
)
def test_packages_come_from_the_hosts_own_debian_mirror(sources: str, environment: str, expected: str) -> None:
    assert image.mirror(sources, environment) == expected


def test_the_hash_is_of_names_contents_and_executable_bits(tmp_path: Path) -> None:
    file = tmp_path / "lab-init"
    file.write_text("one")
    seen = {image.digest([file])}
    file.write_text("two")
    seen.add(image.digest([file]))
    file.chmod(0o755)
    seen.add(image.digest([file]))
    seen.add(image.digest([file], seed="other base"))
    assert len(seen) == 4
    assert image.digest([file]) in seen


def test_tags_carry_the_repository_and_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_IMAGE_REPOSITORY", "try")
    base, venv, node = image.tags()
    assert base.startswith("try-base:")
    assert venv.startswith("try-venv:")
    assert node.startswith("try:")
    assert len({tag.split(":")[1] for tag in (base, venv, node)}) == 3


def test_an_image_that_is_there_is_used_without_a_word(images: Path) -> None:
    node = image.tags().node
    (images / node).touch()
    said: list[str] = []
    assert image.ensure_image(said.append) == node
    assert said == []


def test_new_configuration_is_put_on_the_packages_that_are_there(images: Path) -> None:
    base, venv, node = image.tags()
    for there in (base, venv):
        (images / there).touch()
    said: list[str] = []
    assert image.ensure_image(said.append) == node
    assert (images / node).exists()
    assert said == [f"building {node}"]


def test_new_dependencies_are_installed_on_the_packages_that_are_there(
    images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABKIT_WHEELS", str(tmp_path / "wheels"))
    (tmp_path / "wheels" / wheels.key(image.target(wheels.architecture()))).mkdir(parents=True)
    base, venv, node = image.tags()
    (images / base).touch()
    said: list[str] = []
    image.ensure_image(said.append)
    assert (images / venv).exists()
    assert said == ["installing the components' dependencies", f"building {node}"]


def test_without_debootstrap_nothing_is_begun(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "debootstrap" else f"/usr/bin/{name}")
    with pytest.raises(CommandFailed, match="apt-get install debootstrap"):
        image.ensure_image(lambda line: None)
    assert list(images.iterdir()) == []


def test_without_debians_keys_packages_are_not_trusted(
    images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(tree, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(CommandFailed, match="apt-get install debian-archive-keyring"):
        image.ensure_image(lambda line: None)


def test_too_little_room_is_said_with_figures(images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(tree, "KEYRING", tmp_path)
    monkeypatch.setattr(image, "SPACE_NEEDED", 1 << 60)
    with pytest.raises(CommandFailed, match=r"GB free, .* GB needed"):
        image.ensure_image(lambda line: None)


def test_a_second_build_waits_for_the_first_and_says_so(images: Path) -> None:
    said: list[str] = []
    with image.only_one(said.append):
        with pytest.raises(TimedOut, match="wait for another build"), image.only_one(said.append, patience=0.1):
            pass
        assert said == ["waiting for another build of the node image"]
    with image.only_one(said.append, patience=0.1):
        assert len(said) == 1


def test_the_lists_of_packages_name_each_once_and_nothing_twice() -> None:
    machine, pods = tree.listed("packages.txt"), tree.listed("packages-for-pods.txt")
    assert len(set(machine + pods)) == len(machine + pods)
    for needed in (
        "systemd",
        "docker.io",
        "etcd-server",
        "docker-registry",
        "skopeo",
        "python3-venv",
        "kubernetes-client",
    ):
        assert needed in machine


def test_progress_is_a_line_for_every_25_packages(capsys: pytest.CaptureFixture[str]) -> None:
    steps = tree.Steps()
    for number in range(30):
        steps(f"I: Unpacking package{number}...")
    steps("W: something odd")
    steps("I: Checking component main...")
    for number in range(30):  # from here on apt
        steps(f"Get:{number} http://deb.debian.org/debian bookworm/main amd64 package{number} amd64 1.0 [5 kB]")
        steps(f"Selecting previously unselected package package{number}.")
        steps(f"Unpacking package{number} (1.0) ...")
        steps(f"Setting up package{number} (1.0) ...")
    assert capsys.readouterr().out.splitlines() == [
        "unpacking packages (1)",
        "unpacking packages (26)",
        "W: something odd",
        "fetching packages (1)",
        "configuring packages (1)",
        "unpacking packages (51)",
        "fetching packages (26)",
        "configuring packages (26)",
    ]


def test_packages_of_the_cache_are_not_fetched_again_and_fetched_ones_are_kept(tmp_path: Path) -> None:
    cache, archives = tmp_path / "debs", tmp_path / "tree/archives"
    cache.mkdir()
    archives.mkdir(parents=True)
    (cache / "old_1.0_all.deb").write_text("old")

    def interrupted() -> None:
        with tree._cached(cache, archives):
            assert [path.name for path in archives.glob("*.deb")] == ["old_1.0_all.deb"]
            (archives / "new_2.0_all.deb").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {path.name: path.read_text() for path in cache.iterdir()} == {
        "old_1.0_all.deb": "old",
        "new_2.0_all.deb": "new",
    }
    assert list(archives.iterdir()) == []


def test_an_archive_in_a_folder_is_seen_in_the_tree_while_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(tree, "run", lambda what, command, **_: ran.append(" ".join(command)))
    sources = tmp_path / "etc/apt/sources.list"
    sources.parent.mkdir(parents=True)
    sources.write_text("deb file:///bundle bookworm main\n")
    with tree._mounted("file:///bundle", tmp_path):
        assert sources.read_text() == "deb file:///mnt bookworm main\n"
        assert ran == [f"mount -o bind,ro /bundle {tmp_path}/mnt"]
    assert ran[1:] == [f"umount {tmp_path}/mnt"]
    assert sources.read_text() == "deb file:///bundle bookworm main\n"
    with tree._mounted("http://deb.debian.org/debian", tmp_path):
        assert len(ran) == 2


def test_a_package_that_cannot_be_unpacked_is_not_kept(tmp_path: Path) -> None:
    for name in ("good_1.0_all.deb", "bad_1%3a1.0_all.deb"):
        (tmp_path / name).touch()
    said = "Errors were encountered while processing:\n /var/cache/apt/archives/bad_1%3a1.0_all.deb\nE: Sub-process"
    tree._forget_broken(tmp_path, said)
    assert [path.name for path in tmp_path.iterdir()] == ["good_1.0_all.deb"]
