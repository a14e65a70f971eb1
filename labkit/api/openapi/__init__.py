"""The schema of the API, made from the types and the table of kinds when somebody asks for it, and then kept.

    words.txt   what each type and field means          schemas   types -> definitions
    paths       kinds -> paths and operations           v2        the same as OpenAPI 2
    gnostic     OpenAPI 2 as protobuf

`kubectl explain` shows it, kubectl's client-side validation and its patches go by it. Source: the OpenAPI
specifications 2.0 and 3.0, and what kubectl 1.20 to 1.33 read of the original's.
"""

import hashlib
from functools import cache

import msgspec

from labkit.api.computed import COMPUTED
from labkit.api.kinds import KINDS, Resource
from labkit.api.openapi import gnostic, paths, schemas, v2

VERSION = "v1"
_ROWS: tuple[Resource, ...] = (*KINDS.values(), *COMPUTED)


@cache
def index() -> bytes:
    """/openapi/v3: where the schema of each group and version is; a new schema has a new address."""
    places = {}
    for group, version in dict.fromkeys((row.group, row.version) for row in _ROWS):
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = hashlib.sha256(v3(group, version)).hexdigest()[:32].upper()
        places[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return msgspec.json.encode({"paths": places})


@cache
def v3(group: str, version: str) -> bytes:
    """/openapi/v3/api/v1, /openapi/v3/apis/GROUP/VERSION: OpenAPI 3 as JSON."""
    rows = [row for row in _ROWS if (row.group, row.version) == (group, version)]
    document = {
        "openapi": "3.0.0",
        "info": {"title": "labkit", "version": VERSION},
        "paths": paths.of_rows(rows),
        "components": {"schemas": schemas.of_rows(rows, v3=True)},
    }
    return msgspec.json.encode(document)


@cache
def v2_json() -> bytes:
    """/openapi/v2 as JSON."""
    return msgspec.json.encode(v2.document(_ROWS, VERSION))


@cache
def v2_protobuf() -> bytes:
    """/openapi/v2 as protobuf."""
    return gnostic.encode(v2.document(_ROWS, VERSION))
