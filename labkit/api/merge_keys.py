"""How a strategic merge patch joins lists: by which member it knows an element again.

A list that is not in this table is replaced as a whole. "" is a list of plain values, joined without doubles.
Source: the `patchMergeKey` tags of the v1 types.
"""

from labkit.api import types
from labkit.api.types import Part

MERGE_KEYS: dict[type[Part], dict[str, str]] = {
    types.ObjectMeta: {"finalizers": "", "ownerReferences": "uid"},
    types.PodSpec: {"containers": "name", "volumes": "name", "imagePullSecrets": "name"},
    types.Container: {"ports": "containerPort", "env": "name", "volumeMounts": "mountPath"},
    types.PodStatus: {"conditions": "type"},
    types.ServiceSpec: {"ports": "port"},
    types.ServiceAccount: {"secrets": "name", "imagePullSecrets": "name"},
    types.NodeStatus: {"conditions": "type", "addresses": "type"},
}

# Of an element of these lists only one member of several may be given (the source of a volume): a patch that gives
# another takes the first away. kubectl then says `$retainKeys`.
RETAINED: frozenset[tuple[type[Part], str]] = frozenset({(types.PodSpec, "volumes")})
