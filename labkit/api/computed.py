"""Resources that are not stored: the server works each answer out.

    /api/v1/componentstatuses[/NAME]                                who is healthy
    /apis/authorization.k8s.io/v1/selfsubjectaccessreviews          POST a question, its status is the answer
    /apis/authentication.k8s.io/v1/selfsubjectreviews               (and v1beta1, for kubectl 1.27)
    /apis/authentication.k8s.io/v1/tokenreviews                     whose is this token? For those who may ask
    /apis/discovery.k8s.io/v1/[namespaces/NS/]endpointslices[/NAME] Endpoints in their later form: kubectl describe svc
    /apis/metrics.k8s.io/v1beta1/nodes[/NAME]                       what is used: kubectl top
    /apis/metrics.k8s.io/v1beta1/[namespaces/NS/]pods[/NAME]

Discovery and the schema show every row: a row is here only when the API server answers it.
"""

from typing import NamedTuple

from labkit.api import types
from labkit.api.kinds import KINDS, Resource

COMPUTED = (
    Resource(type=types.ComponentStatus, resource="componentstatuses", singular="componentstatus", short_names=("cs",),
             namespaced=False, verbs=("get", "list")),
    Resource(type=types.SelfSubjectAccessReview, resource="selfsubjectaccessreviews",
             singular="selfsubjectaccessreview", group="authorization.k8s.io", namespaced=False, verbs=("create",)),
    Resource(type=types.SelfSubjectRulesReview, resource="selfsubjectrulesreviews", singular="selfsubjectrulesreview",
             group="authorization.k8s.io", namespaced=False, verbs=("create",)),
    Resource(type=types.SelfSubjectReview, resource="selfsubjectreviews", singular="selfsubjectreview",
             group="authentication.k8s.io", namespaced=False, verbs=("create",)),
    Resource(type=types.SelfSubjectReviewV1beta1, resource="selfsubjectreviews", singular="selfsubjectreview",
             group="authentication.k8s.io", version="v1beta1", namespaced=False, verbs=("create",)),
    Resource(type=types.TokenReview, resource="tokenreviews", singular="tokenreview",
             group="authentication.k8s.io", namespaced=False, verbs=("create",)),
    Resource(type=types.EndpointSlice, resource="endpointslices", singular="endpointslice", group="discovery.k8s.io",
             verbs=("get", "list", "watch")),
    Resource(type=types.NodeMetrics, resource="nodes", singular="", group="metrics.k8s.io", version="v1beta1",
             namespaced=False, verbs=("get", "list")),
    Resource(type=types.PodMetrics, resource="pods", singular="", group="metrics.k8s.io", version="v1beta1",
             verbs=("get", "list")),
)  # fmt: skip


class Place(NamedTuple):
    """What a path names: a computed resource, and possibly one object of it."""

    resource: Resource
    namespace: str = ""
    name: str = ""


def place_of(path: str) -> Place | None:
    """None when the path names nothing that is computed."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[1:]) if parts[0] == "api" else (parts[1] if len(parts) > 1 else "", parts[2:])
    if parts[0] not in ("api", "apis") or len(rest) < 2:
        return None
    version, namespace, rest = rest[0], "", rest[1:]
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    for row in COMPUTED:
        if (row.group, row.version, row.resource) == (group, version, rest[0]) and len(rest) <= 2:
            wrong = bool(namespace) and not row.namespaced
            homeless = row.namespaced and len(rest) == 2 and not namespace
            return None if wrong or homeless else Place(row, namespace, *rest[1:])
    return None


def groups() -> dict[str, dict[str, list[Resource]]]:
    """Group -> version -> resources, the core group left out."""
    found: dict[str, dict[str, list[Resource]]] = {}
    for row in (*KINDS.values(), *COMPUTED):
        if row.group:
            found.setdefault(row.group, {}).setdefault(row.version, []).append(row)
    return found
