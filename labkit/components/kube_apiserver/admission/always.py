"""AlwaysAdmit and AlwaysDeny: the two ends. Source: plugin/pkg/admission/admit and deny of Kubernetes 0.18."""

from __future__ import annotations

from typing import Any

from labkit.components.kube_apiserver.admission.plugin import Asked, View, forbidden


def admit(asked: Asked, view: View) -> Any:
    return asked.obj


def deny(asked: Asked, view: View) -> Any:
    raise forbidden(asked, "Admission control is denying all modifications")
