"""The downward API: what a pod's containers may be told of their own pod, as variables or as files.

    metadata.name  metadata.namespace  metadata.uid  metadata.labels['KEY']  metadata.annotations['KEY']
    spec.nodeName  spec.serviceAccountName  status.podIP  status.hostIP          variables only
    metadata.labels  metadata.annotations                                        files only: a line KEY="VALUE" each

Source: pkg/fieldpath of Kubernetes 1.0, and the fields that today's learners expect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.api.types import Pod

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
            "\v": "\\v"}  # fmt: skip


@dataclass(frozen=True)
class Addresses:
    """pod: "" while it has none. host: its machine's."""

    pod: str = ""
    host: str = ""


def field_for_variable(pod: Pod, addresses: Addresses, path: str) -> str:
    """ValueError for a path that is not offered; a label that the pod has not is ""."""
    if found := _SUBSCRIPT.fullmatch(path):
        return _map(pod, found[1]).get(found[2], "")
    fields = _plain(pod) | {
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": addresses.pod,
        "status.hostIP": addresses.host,
    }
    if path not in fields:
        raise ValueError(f"unsupported fieldPath: {path} (supported: {', '.join(fields)})")
    return fields[path]


def field_for_file(pod: Pod, path: str) -> str:
    """ValueError for a path that is not offered."""
    if found := _SUBSCRIPT.fullmatch(path):
        return _map(pod, found[1]).get(found[2], "")
    lists = {f"metadata.{name}": lines(_map(pod, name)) for name in ("labels", "annotations")}
    fields = _plain(pod) | lists
    if path not in fields:
        raise ValueError(f"unsupported fieldPath: {path} (supported: {', '.join(fields)})")
    return fields[path]


def lines(pairs: Mapping[str, str]) -> str:
    """`a="1"`, a line each, sorted; quoted as Go's %q does it, so that a value cannot end its line."""
    return "\n".join(f"{name}={quoted(value)}" for name, value in sorted(pairs.items()))


def quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(char) or _visible(char) for char in text) + '"'


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(pod: Pod) -> dict[str, str]:
    meta = pod.metadata
    return {"metadata.name": meta.name, "metadata.namespace": meta.namespace, "metadata.uid": meta.uid}


def _map(pod: Pod, name: str) -> Mapping[str, str]:
    return pod.metadata.labels if name == "labels" else pod.metadata.annotations
