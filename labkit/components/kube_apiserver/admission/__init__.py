"""Admission: what an authorized request must still get past before its object is stored.

    decode -> NamespaceLifecycle -> NamespaceExists -> ... -> default, validate, store

One file per plug-in, each a pure function `admit(asked, view) -> object` that returns the object, perhaps changed, or
raises Forbidden. `--admission-control` names them in their order. Source: plugin/pkg/admission of Kubernetes 0.18.
"""
