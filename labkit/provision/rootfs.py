"""The images that pods run, cut out of the machine's own Debian: no registry on the internet is asked.

Each is a few programs, the shared libraries that they load, busybox and the handful of files that the C library
wants (passwd, nsswitch.conf), as a docker-archive: a tar with one layer, what `docker save` writes. The same
input gives the same bytes.

    pause     catatonit -P, which holds a pod's namespaces and reaps its orphans
    busybox   a shell and 250 small tools, 2 MB
    redis     redis-server on every address, without protected mode; redis-cli
    nginx     one page on port 80, logs on stdout
    toolbox   what one debugs a cluster with: dig, curl, redis-cli, getent, ip, tcpdump ...
"""

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import msgspec

USERS = """root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUPS = "root:x:0:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n"
REDIS_CONF = """# What redis-server reads here unless it is given a file of its own.
bind 0.0.0.0
protected-mode no
dir /data
"""
REDIS_ENTRYPOINT = """#!/bin/sh
# redis-server and its options alone get the image's defaults; anything else is run as it is.
case "${1:-}" in -*) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  shift
  case "${1:-}" in "" | -*) set -- /etc/redis.conf "$@" ;; esac
  exec redis-server "$@"
fi
exec "$@"
"""
ACCOUNTS = {
    "etc/passwd": USERS,
    "etc/group": GROUPS,
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
NGINX_CONF = """daemon off;
user www-data;
worker_processes 1;
error_log stderr notice;
pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
  include mime.types;
  access_log /dev/stdout;
  server { listen 80 default_server; root /usr/share/nginx/html; index index.html; }
}
"""
NGINX_PAGE = "<!DOCTYPE html><title>nginx</title><h1>It works</h1>\n"


class PodImage(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into an image, by path inside it, and how it is started.

    programs: taken from the tree with their libraries. files: text, executable where it starts with `#!`.
    copies: files of the tree as they are. links: path -> target. shell: with busybox and all its names.
    """

    name: str
    programs: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    directories: tuple[str, ...] = ()
    shell: bool = True
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    port: str = ""
    workdir: str = "/"
    stop_signal: str = "SIGTERM"


POD_IMAGES = (
    PodImage(name="pause", programs=("/usr/bin/catatonit",), links={"pause": "usr/bin/catatonit"}, shell=False,
             entrypoint=("/pause", "-P")),
    PodImage(name="busybox", command=("sh",)),
    PodImage(name="redis", programs=("/usr/bin/redis-server", "/usr/bin/redis-cli"), directories=("data",),
             files={"etc/redis.conf": REDIS_CONF, "usr/bin/docker-entrypoint.sh": REDIS_ENTRYPOINT},
             entrypoint=("docker-entrypoint.sh",), command=("redis-server",), port="6379/tcp", workdir="/data"),
    PodImage(name="nginx", programs=("/usr/sbin/nginx",), copies=("/etc/nginx/mime.types",),
             directories=("var/lib/nginx", "var/log/nginx"),
             files={"etc/nginx/nginx.conf": NGINX_CONF, "usr/share/nginx/html/index.html": NGINX_PAGE},
             command=("nginx",), port="80/tcp", stop_signal="SIGQUIT"),
    PodImage(name="toolbox", command=("sleep", "infinity"),
             # bash is its sh: busybox's own prefers busybox's ping, nc and ip to the real ones.
             programs=("/usr/bin/bash", "/usr/bin/dig", "/usr/bin/host", "/usr/bin/redis-cli", "/usr/bin/curl",
                       "/usr/bin/getent", "/usr/bin/ping", "/usr/bin/nc.openbsd", "/usr/sbin/ip", "/usr/bin/ss",
                       "/usr/bin/tcpdump", "/usr/bin/jq"),
             links={"usr/bin/nc": "nc.openbsd", "usr/bin/sh": "bash"}),
)  # fmt: skip


class Layer:
    """One layer of an image, built in memory: reproducible (fixed times and owners, sorted by path at the end)."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        for directory in (
            "dev",
            "etc",
            "proc",
            "root",
            "run",
            "sys",
            "tmp",
            "usr/bin",
            "usr/sbin",
            "usr/lib",
            "usr/lib64",
            "var",
        ):
            self.directory(directory, 0o1777 if directory == "tmp" else 0o755)
        for name in ("bin", "sbin", "lib", "lib64"):
            self.link(name, f"usr/{name}")

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, tarfile.DIRTYPE, mode)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._add(path, tarfile.REGTYPE, mode, content=content)

    def link(self, path: str, target: str) -> None:
        self._add(path, tarfile.SYMTYPE, 0o777, target=target)

    def _add(self, path: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
        for parent in reversed(list(Path(path).parents)[:-1]):
            if str(parent) not in self._entries:
                self.directory(str(parent))
        if path in self._entries:
            return
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.linkname, info.size = kind, mode, target, len(content)
        self._entries[path] = info, content

    def tar(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for _, (info, content) in sorted(self._entries.items()):
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()


def cut(tree: Path, image: PodImage) -> bytes:
    """The docker-archive of the image, its programs taken from the Debian tree. Needs root (it runs ldd in the tree).

    Raises FileNotFoundError when the tree lacks something.
    """
    layer = Layer()
    for path in (*image.programs, *_libraries(tree, image.programs), *image.copies):
        _copy(tree, path, layer)
    for path, text in (image.files | ACCOUNTS).items():
        layer.file(path, text.encode(), 0o755 if text.startswith("#!") else 0o644)
    for path, target in image.links.items():
        layer.link(path, target)
    for path in image.directories:
        layer.directory(path)
    if image.shell:
        _copy(tree, "/usr/bin/busybox", layer)
        for name in _inside(tree, "busybox", "--list").split():
            layer.link(f"usr/bin/{name}", "busybox")
    return archive(image, layer.tar(), _inside(tree, "dpkg", "--print-architecture").strip())


def archive(image: PodImage, layer: bytes, architecture: str) -> bytes:
    """What `docker save NAME:latest` would write for an image of one layer."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": "2015-06-01T00:00:00Z",
        "config": {
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": list(image.command) or None,
            "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": image.workdir,
            "StopSignal": image.stop_signal,
            "ExposedPorts": {image.port: {}} if image.port else {},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": "2015-06-01T00:00:00Z", "created_by": "labkit, from Debian packages"}],
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [f"{image.name}:latest"], "Layers": ["layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as file:
        for path, content in (("manifest.json", json.dumps(manifest).encode()), (name, encoded), ("layer.tar", layer)):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o644
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def libraries(ldd: str) -> list[str]:
    """The paths in ldd's output, from `libz.so.1 => /lib/x/libz.so.1 (0x..)` and the loader's `/lib64/ld.so (0x..)`."""
    return sorted(set(re.findall(r"^(?:.*=> )?\s*(/\S+) \(0x", ldd, re.MULTILINE)))


def _libraries(tree: Path, programs: tuple[str, ...]) -> list[str]:
    return sorted({path for program in programs for path in libraries(_inside(tree, "ldd", program))})


def _inside(tree: Path, *command: str) -> str:
    """What a program of the tree prints. A static program makes ldd exit 1: it has no libraries, which is an answer."""
    done = subprocess.run(["chroot", tree, *command], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def _copy(tree: Path, path: str, layer: Layer) -> None:
    """The file as it is found through the tree's links, under the name that it is asked for by."""
    source = tree / _inside(tree, "readlink", "-f", path).strip().lstrip("/")
    if not source.is_file():
        raise FileNotFoundError(f"{path} is not in the Debian tree {tree}")
    name = re.sub(r"^/(?=(bin|sbin|lib|lib64)/)", "usr/", path).lstrip("/")
    layer.file(name, source.read_bytes(), 0o755 if source.stat().st_mode & 0o100 else 0o644)
