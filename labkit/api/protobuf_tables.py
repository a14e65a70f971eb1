"""Field numbers of the messages that arrive as protobuf. Source: generated.proto of k8s.io/api and apimachinery."""

from typing import NamedTuple


class Field(NamedTuple):
    """name: as in JSON. type: string, bytes, base64 (bytes that JSON writes so), bool, int, time, quantity,
    int-or-string, or the name of another message."""

    name: str
    type: str = "string"
    is_list: bool = False
    is_map: bool = False
    keeps_zero: bool = False  # a pointer in Go: 0 is not the same as absent


def _list(name: str, of: str = "string") -> Field:
    return Field(name, of, is_list=True)


def _map(name: str, entry: str = "StringEntry") -> Field:
    return Field(name, entry, is_map=True)


# The messages that may be a body; the others are parts of them.
BODIES = (
    "Namespace",
    "Service",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "ResourceQuota",
    "DeleteOptions",
    "Eviction",
    "TokenRequest",
    "SelfSubjectAccessReview",
    "SelfSubjectRulesReview",
    "SelfSubjectReview",
)

MESSAGES: dict[str, dict[int, Field]] = {
    "Unknown": {1: Field("typeMeta", "TypeMeta"), 2: Field("raw", "bytes")},
    "TypeMeta": {1: Field("apiVersion"), 2: Field("kind")},
    "StringEntry": {1: Field("key"), 2: Field("value")},
    "BytesEntry": {1: Field("key"), 2: Field("value", "base64")},
    "QuantityEntry": {1: Field("key"), 2: Field("value", "quantity")},
    "Quantity": {1: Field("text")},
    "Timestamp": {1: Field("seconds", "int")},
    "IntOrString": {1: Field("kind", "int"), 2: Field("number", "int"), 3: Field("text")},
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        4: Field("selfLink"),
        5: Field("uid"),
        6: Field("resourceVersion"),
        7: Field("generation", "int"),
        8: Field("creationTimestamp", "time"),
        11: _map("labels"),
        12: _map("annotations"),
        14: _list("finalizers"),
    },
    "Namespace": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "NamespaceSpec")},
    "NamespaceSpec": {1: _list("finalizers")},
    "Service": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "ServiceSpec")},
    "ServiceSpec": {
        1: _list("ports", "ServicePort"),
        2: _map("selector"),
        3: Field("clusterIP"),
        4: Field("type"),
        5: _list("externalIPs"),
        7: Field("sessionAffinity"),
        8: Field("loadBalancerIP"),
    },
    "ServicePort": {
        1: Field("name"),
        2: Field("protocol"),
        3: Field("port", "int"),
        4: Field("targetPort", "int-or-string"),
        5: Field("nodePort", "int"),
    },
    "ConfigMap": {
        1: Field("metadata", "ObjectMeta"),
        2: _map("data"),
        3: _map("binaryData", "BytesEntry"),
    },
    "Secret": {
        1: Field("metadata", "ObjectMeta"),
        2: _map("data", "BytesEntry"),
        3: Field("type"),
        4: _map("stringData"),
    },
    "ServiceAccount": {
        1: Field("metadata", "ObjectMeta"),
        2: _list("secrets", "ObjectReference"),
        3: _list("imagePullSecrets", "LocalObjectReference"),
        4: Field("automountServiceAccountToken", "bool", keeps_zero=True),
    },
    "ObjectReference": {
        1: Field("kind"),
        2: Field("namespace"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("resourceVersion"),
        7: Field("fieldPath"),
    },
    "LocalObjectReference": {1: Field("name")},
    "ResourceQuota": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "ResourceQuotaSpec")},
    "ResourceQuotaSpec": {1: _map("hard", "QuantityEntry")},
    "SelfSubjectReview": {1: Field("metadata", "ObjectMeta")},
    "SelfSubjectRulesReview": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "SelfSubjectRulesReviewSpec")},
    "SelfSubjectRulesReviewSpec": {1: Field("namespace")},
    "SelfSubjectAccessReview": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "SelfSubjectAccessReviewSpec")},
    "SelfSubjectAccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: Field("namespace"),
        2: Field("verb"),
        3: Field("group"),
        4: Field("version"),
        5: Field("resource"),
        6: Field("subresource"),
        7: Field("name"),
    },
    "NonResourceAttributes": {1: Field("path"), 2: Field("verb")},
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "int", keeps_zero=True),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool", keeps_zero=True),
        4: Field("propagationPolicy"),
        5: _list("dryRun"),
    },
    "Eviction": {1: Field("metadata", "ObjectMeta"), 2: Field("deleteOptions", "DeleteOptions")},
    "TokenRequest": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {
        1: _list("audiences"),
        3: Field("boundObjectRef", "BoundObjectReference"),
        4: Field("expirationSeconds", "int", keeps_zero=True),
    },
    "BoundObjectReference": {1: Field("kind"), 2: Field("apiVersion"), 3: Field("name"), 4: Field("uid")},
    "Preconditions": {1: Field("uid"), 2: Field("resourceVersion")},
}
