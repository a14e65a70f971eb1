"""A View of literals, and what is asked of a plug-in."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from labkit.api.kinds import kind_of
from labkit.api.types import Container, Namespace, NamespaceStatus, Object, ObjectMeta, Pod, PodSpec
from labkit.components.kube_apiserver.admission.plugin import Asked
from labkit.components.kube_apiserver.messages import User

T = TypeVar("T", bound=Object)
NOBODY = User()


class Literals:
    """The View that holds these objects."""

    def __init__(self, objects: Sequence[Any] = ()) -> None:
        self._objects = objects

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        named = [obj for obj in self.list(kind, namespace) if obj.metadata.name == name]
        return named[0] if named else None

    def list(self, kind: type[T], namespace: str) -> list[T]:
        return [obj for obj in self._objects if isinstance(obj, kind) and obj.metadata.namespace == namespace]


def pod(name: str = "p1", **metadata: Any) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, **metadata), spec=PodSpec(containers=[Container(name="c", image="i")]))


def namespace(name: str, phase: str = "Active") -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name), status=NamespaceStatus(phase=phase))


def asked(
    obj: Any,
    operation: Literal["CREATE", "UPDATE", "DELETE"] = "CREATE",
    namespace: str = "default",
    user: User = NOBODY,
) -> Asked:
    """For DELETE `obj` says only which object is meant."""
    kind = kind_of(obj)
    given = None if operation == "DELETE" else obj
    return Asked(operation, kind, namespace if kind.namespaced else "", obj.metadata.name, given, user)
