"""Who set which field: server-side apply.

    {"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": "...", "fieldsType": "FieldsV1",
     "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {...}}}}

An object has one such entry in `metadata.managedFields` for each manager: who *applied* a set of fields, or *updated*
some. An apply that would change what somebody else set is a conflict; what a manager applied last time and does not
name any more is removed, unless somebody else names it too.

    shapes.py     which members are joined one by one, which are replaced as a whole
    paths.py      a document as a set of paths, and paths as `fieldsV1`
    joining.py    two documents joined; a document without some paths
    managers.py   what an apply and an update make of the entries

Kept only for objects that have once been applied by the server, as Kubernetes 1.16 and 1.17 did: what `etcdctl get`
shows stays short for all others, and the busy components pay nothing.
Source: the Kubernetes documentation, "Server-Side Apply".
"""
