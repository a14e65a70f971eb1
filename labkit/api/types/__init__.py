"""The objects of API v1 as msgspec Structs.

    part           what they are made of: names, numbers, times, amounts
    metadata       what every object has, and how objects refer to each other
    pods           containers, volumes, and the pods of them       replication, services, nodes, namespaces, events
    configuration  what pods are told: Secret, ConfigMap, ServiceAccount
    limits         how much there may be: LimitRange, ResourceQuota
    storage        PersistentVolume and the claim on one           answers    Status, and what a DELETE says
    reviews        questions that are answered, not stored: may I, who am I           usage      what is used
    slices         Endpoints as later clients read them                    leases     who leads

Attributes are the JSON names in snake_case (`pod.spec.node_name` is `spec.nodeName`, `service.spec.cluster_ip` is
`spec.clusterIP`). What is absent stays absent: a list or map defaults to empty, any other optional field to None (text
to ""), and none of them is encoded while it holds that default. Defaulting is a pass of its own (`api/defaults.py`), so
that what a default adds is visible on the wire. Source: the v1 API reference of Kubernetes 1.0; fields that came later
are here where today's manifests cannot do without them.
"""

# ruff: noqa: F403  (every name of these files is also a name of this package)
from labkit.api.types.answers import *
from labkit.api.types.configuration import *
from labkit.api.types.containers import *
from labkit.api.types.events import *
from labkit.api.types.leases import *
from labkit.api.types.limits import *
from labkit.api.types.metadata import *
from labkit.api.types.namespaces import *
from labkit.api.types.nodes import *
from labkit.api.types.part import *
from labkit.api.types.pods import *
from labkit.api.types.replication import *
from labkit.api.types.reviews import *
from labkit.api.types.services import *
from labkit.api.types.slices import *
from labkit.api.types.storage import *
from labkit.api.types.tokens import *
from labkit.api.types.usage import *
from labkit.api.types.volumes import *
