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

from labkit.api.openapi import gnostic, paths, schemas, v2

VERSION = "v1"


@cache
def index() -> bytes:
    """/openapi/v3: where the schema of each group and version is; a new schema has a new address."""
    digest = hashlib.sha256(core()).hexdigest()[:32].upper()
    return msgspec.json.encode({"paths": {"api/v1": {"serverRelativeURL": f"/openapi/v3/api/v1?hash={digest}"}}})


@cache
def core() -> bytes:
    """/openapi/v3/api/v1: OpenAPI 3 as JSON."""
    document = {
        "openapi": "3.0.0",
        "info": {"title": "labkit", "version": VERSION},
        "paths": paths.of_everything(),
        "components": {"schemas": schemas.of_everything(v3=True)},
    }
    return msgspec.json.encode(document)


@cache
def v2_json() -> bytes:
    """/openapi/v2 as JSON."""
    return msgspec.json.encode(v2.document(VERSION))


@cache
def v2_protobuf() -> bytes:
    """/openapi/v2 as protobuf."""
    return gnostic.encode(v2.document(VERSION))
