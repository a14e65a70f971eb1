"""Network namespaces: which one is a pod's, and how to make something inside it.

A thread enters the namespace, runs a function there and ends; sockets that the function opened stay in it for ever.
Source: setns(2); network_namespaces(7).
"""

import ctypes
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

OWN = "/proc/self/ns/net"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class NoSuchPod(Exception):
    """The pod has no running container on this machine; the message says so."""


def of_pod(key: str) -> str:
    """The path of a pod's network namespace: that of its pause container. key: NAMESPACE/NAME. Raises NoSuchPod."""
    return f"/proc/{_pause_container(key, '{{.State.Pid}}')}/ns/net"


def resolv_conf_of_pod(key: str) -> str:
    """The path of a pod's resolv.conf, which its containers share with the pause container. Raises NoSuchPod."""
    return _pause_container(key, "{{.ResolvConfPath}}")


def _pause_container(key: str, what: str) -> str:
    labels = ("--filter", f"label=io.kubernetes.pod.name={key}", "--filter", "name=^/k8s_POD[.]")
    found = _docker("ps", "--quiet", "--no-trunc", *labels).split()
    if not found:
        raise NoSuchPod(f"docker runs no container of pod {key} on this machine")
    return _docker("inspect", "--format", what, found[0]).strip()


def is_own(path: str) -> bool:
    """Whether that is the namespace of this process: a pod with hostNetwork is on its machine's network."""
    return same(path, OWN)


def same(one: str, other: str) -> bool:
    try:
        return Path(one).stat().st_ino == Path(other).stat().st_ino
    except OSError:  # a process that has ended has none
        return False


def inside(path: str, function: Callable[[], T]) -> T:
    """The result of a function that runs in that namespace. OSError when it cannot be entered."""
    box: list[T] = []
    trouble: list[BaseException] = []

    def enter() -> None:
        try:
            with Path(path).open() as handle:
                if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {path}")
            box.append(function())
        except BaseException as exc:  # handed to the caller's thread
            trouble.append(exc)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]
    return box[0]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise NoSuchPod(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
