"""Images for pods: the same input gives the same docker-archive, and what comes first in a layer stays."""

import hashlib
import io
import json
import tarfile

from labkit.provision.rootfs import POD_IMAGES, Layer, PodImage, archive, libraries

LDD = """\
	linux-vdso.so.1 (0x00007ffd4a5f2000)
	libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f1c2a000000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1c29e00000)
	libgone.so.2 => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f1c2a2f0000)
"""


def content(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: member for member in archive}


def test_libraries_are_the_paths_that_ldd_found() -> None:
    assert libraries(LDD) == [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libz.so.1",
        "/lib64/ld-linux-x86-64.so.2",
    ]
    assert libraries("\tnot a dynamic executable\n") == []


def test_a_layer_has_the_usual_directories_and_the_parents_of_its_files() -> None:
    layer = Layer()
    layer.file("usr/share/nginx/html/index.html", b"page")
    layer.link("usr/bin/nc", "nc.openbsd")
    members = content(layer.tar())
    assert members["usr/share/nginx"].isdir()
    assert members["tmp"].mode == 0o1777
    assert members["bin"].linkname == "usr/bin"
    assert (members["usr/share/nginx/html/index.html"].size, members["usr/bin/nc"].linkname) == (4, "nc.openbsd")


def test_what_came_first_stays() -> None:
    layer = Layer()
    layer.file("usr/bin/ping", b"the real one", 0o755)
    layer.link("usr/bin/ping", "busybox")
    assert content(layer.tar())["usr/bin/ping"].isreg()


def test_a_layer_is_the_same_bytes_whatever_the_order_and_the_hour() -> None:
    one, other = Layer(), Layer()
    one.file("etc/a", b"1")
    one.file("etc/b", b"2")
    other.file("etc/b", b"2")
    other.file("etc/a", b"1")
    assert one.tar() == other.tar()
    assert all(member.mtime == 0 and member.uid == 0 for member in content(one.tar()).values())


def test_the_archive_is_what_docker_load_takes() -> None:
    layer = Layer().tar()
    redis = next(image for image in POD_IMAGES if image.name == "redis")
    with tarfile.open(fileobj=io.BytesIO(archive(redis, layer, "amd64"))) as file:
        manifest = json.load(file.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        encoded = file.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        assert file.extractfile(manifest["Layers"][0]).read() == layer  # type: ignore[union-attr]
    config = json.loads(encoded)
    assert manifest["RepoTags"] == ["redis:latest"]
    assert manifest["Config"] == f"{hashlib.sha256(encoded).hexdigest()}.json"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert config["config"]["Entrypoint"] == ["docker-entrypoint.sh"]
    assert config["config"]["Cmd"] == ["redis-server"]
    assert config["config"]["ExposedPorts"] == {"6379/tcp": {}}


def test_redis_serves_everybody_unless_it_is_told_otherwise() -> None:
    redis = next(image for image in POD_IMAGES if image.name == "redis")
    assert "protected-mode no\n" in redis.files["etc/redis.conf"]
    assert "bind 0.0.0.0\n" in redis.files["etc/redis.conf"]


def test_the_five_images_and_no_sixth() -> None:
    assert [image.name for image in POD_IMAGES] == ["pause", "busybox", "redis", "nginx", "toolbox"]
    assert all(isinstance(image, PodImage) and (image.entrypoint or image.command) for image in POD_IMAGES)
