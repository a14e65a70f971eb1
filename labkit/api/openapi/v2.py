"""OpenAPI 2 of the same: what kubectl up to 1.26 reads. Parameters carry their type, bodies are parameters."""

from collections.abc import Sequence
from typing import Any

from labkit.api.kinds import Resource
from labkit.api.openapi import paths, schemas
from labkit.api.openapi.schemas import Schema

_METHODS = ("get", "put", "post", "delete", "patch")


def document(rows: Sequence[Resource], version: str) -> dict[str, Any]:
    """The schema of these resources; OpenAPI 2 has one for all groups."""
    return {
        "swagger": "2.0",
        "info": {"title": "labkit", "version": version},
        "paths": {path: _item(item) for path, item in paths.of_rows(rows).items()},
        "definitions": schemas.of_rows(rows, v3=False),
    }


def _item(item: dict[str, Any]) -> dict[str, Any]:
    operations = {method: _operation(item[method]) for method in _METHODS if method in item}
    return operations | {"parameters": [_parameter(one) for one in item["parameters"]]}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    parameters = [_parameter(one) for one in operation["parameters"]]
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        body = next(iter(content.values()))["schema"]
        required = operation["requestBody"]["required"]
        if len(content) > 1:  # a patch: in one of several dialects
            body = {"type": "object"}
        parameters.insert(0, {"name": "body", "in": "body", "required": required, "schema": _with_references(body)})
    extensions = {name: member for name, member in operation.items() if name.startswith("x-")}
    return {
        "operationId": operation["operationId"],
        "tags": operation["tags"],
        "consumes": list(content) or ["*/*"],
        "produces": sorted({kind for one in operation["responses"].values() for kind in one["content"]}),
        "parameters": parameters,
        "responses": {code: _response(one) for code, one in operation["responses"].items()},
        **extensions,
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    plain = {name: member for name, member in parameter.items() if name != "schema"}
    return {**plain, **parameter["schema"]}


def _response(response: dict[str, Any]) -> dict[str, Any]:
    (content,) = response["content"].values()
    return {"description": response["description"], "schema": _with_references(content["schema"])}


def _with_references(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/components/schemas/", "#/definitions/")}
    return schema
