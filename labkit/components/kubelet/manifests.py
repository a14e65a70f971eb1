"""Manifests of static pods: YAML or JSON text in, pods out, or what is wrong with which line.

    /etc/kubernetes/manifests/web.yaml:9: spec.containers[0].image: required value

The rules are those of kube-apiserver (defaults, validation), so what runs here can be mirrored there.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from labkit.api.codec import encode, from_builtins
from labkit.api.defaults import set_defaults
from labkit.api.errors import BadRequest
from labkit.api.types import Pod

_STEP = re.compile(r"([A-Za-z_][\w-]*)|\[(\d+)\]")
_FIELD = re.compile(r"field ([\w.\[\]]+)")


class ManifestFailure(Exception):
    """`FILE:LINE: what is wrong`."""

    def __init__(self, where: str, line: int, what: str) -> None:
        super().__init__(f"{where}:{line}: {what}")


def parse(text: bytes, where: str) -> list[Pod]:
    """The pods of a manifest, with defaults; `where` is a file's path or a URL. Documents of kind Pod, or lists of
    them. ManifestFailure for the first that is none."""
    return [_pod(document, node, where) for document, node in _documents(text, where)]


def _documents(text: bytes, where: str) -> Iterator[tuple[Any, yaml.Node]]:
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            if (node := loader.get_node()) is not None:
                yield from _members(loader.construct_document(node), node)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        told = f"{exc.problem or exc.context}; YAML is indented with spaces, and so is what belongs together"
        raise ManifestFailure(where, mark.line + 1 if mark else 1, told) from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise ManifestFailure(where, 1, f"neither YAML nor JSON: {exc}") from exc


def _members(document: Any, node: yaml.Node) -> Iterator[tuple[Any, yaml.Node]]:
    """The items of a list, and everything else as it is; an empty document is left out."""
    if isinstance(document, dict) and document.get("kind") in ("PodList", "List"):
        items = _child(node, "items")
        members = document.get("items")
        if isinstance(members, list) and isinstance(items, yaml.SequenceNode):
            yield from zip(members, items.value, strict=True)
    elif document is not None:
        yield document, node


def _pod(document: Any, node: yaml.Node, where: str) -> Pod:
    line = int(node.start_mark.line) + 1
    if not isinstance(document, dict) or document.get("kind") != "Pod" or document.get("apiVersion") != "v1":
        raise ManifestFailure(where, line, "not a pod: a manifest begins with `apiVersion: v1` and `kind: Pod`")
    try:
        pod: Pod = from_builtins(document, Pod)
    except BadRequest as exc:
        field = _FIELD.search(str(exc))
        raise ManifestFailure(where, line_of(node, field[1]) if field else line, str(exc)) from exc
    except TypeError as exc:  # a key that is no text, say
        raise ManifestFailure(where, line, str(exc)) from exc
    pod.metadata.namespace = pod.metadata.namespace or "default"
    set_defaults(pod)
    from labkit.api.validation import validate  # 1.6 MB that a node without static pods need not hold

    if faults := validate(pod):
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
        raise ManifestFailure(where, line_of(node, first.field), f"{first.field}: {first.message}{more}")
    return pod


def line_of(node: yaml.Node, path: str) -> int:
    """The line of a field, `spec.containers[0].image`; of the last one on the way to it that is there."""
    for name, number in _STEP.findall(path):
        child = _item(node, int(number)) if number else _child(node, name)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _item(node: yaml.Node, number: int) -> yaml.Node | None:
    items = node.value if isinstance(node, yaml.SequenceNode) else ()
    return items[number] if number < len(items) else None


def fingerprint(pod: Pod) -> bytes:
    """What makes two manifests the same pod."""
    return encode(pod)
