"""NamespaceExists: nothing is created in a namespace that is not there.

Without it the API takes objects of any namespace, as the original did.
Source: plugin/pkg/admission/namespace/exists of Kubernetes 1.0.
"""

from __future__ import annotations

from typing import Any

from labkit.api.types import Namespace
from labkit.components.kube_apiserver.admission.plugin import Asked, View, not_yet


def admit(asked: Asked, view: View) -> Any:
    if asked.operation == "CREATE" and asked.kind.namespaced and view.get(Namespace, asked.namespace) is None:
        raise not_yet(asked, f"Namespace {asked.namespace} does not exist")
    return asked.obj
