"""The OpenAPI 3.1 document, made from the same declarations that route and validate requests."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from flexcore.domain.identifiers import PLUGIN_ID
from flexcore.presentation.http.operations import Operation
from flexcore.presentation.http.problems import MEDIA_TYPE, Problem
from flexcore.presentation.http.uploads import form_content

_REFERENCE: Final = "#/components/schemas/{name}"
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request again under the same key is done once and answered alike",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x21-\x7e]*$"},
}
_LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Id of the last event that arrived; the stream goes on after it",
    "schema": {"type": "string"},
}
_CORRELATION: Final = {"$ref": "#/components/headers/CorrelationId"}


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Describe `operations`."""
    types = {id(kind): kind for operation in operations for kind in _types(operation)}
    schemas, components = msgspec.json.schema_components(
        [*types.values(), Problem], schema_hook=None, ref_template=_REFERENCE
    )
    schema_of = dict(zip(types, schemas, strict=False))
    for operation in operations:
        referred = _query_schemas(operation)
        del referred[operation.query.__name__]
        components |= referred
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FlexCore",
            "version": version,
            "description": "Runtime container service: plugins in isolated processes and an event log.",
            "license": {"name": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {
                "CorrelationId": {
                    "description": "The request's X-Correlation-ID, or one made for it",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Whoever holds the token has a role; each operation says which one it needs",
                }
            },
        },
    }


def _types(operation: Operation) -> list[Any]:
    kinds = [content.type for content in operation.answers.values() if content.type is not None]
    return kinds if operation.body is None else [*kinds, operation.body]


def _operation(operation: Operation, schema_of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [] if operation.open else [{"token": []}],
        **({} if operation.required_role is None else {"x-required-role": operation.required_role}),
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation),
            *([_IDEMPOTENCY_KEY] if operation.idempotent else []),
            *([_LAST_EVENT_ID] if operation.resumable else []),
        ],
        "responses": _responses(operation, schema_of),
    }
    if operation.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": schema_of[id(operation.body)]}}
        if operation.uploads is not None:
            content |= form_content()
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    segments = operation.path.split("/")
    return [
        {"name": name, "in": "path", "required": True, "schema": _of_path(segments[segments.index(f"{{{name}}}") - 1])}
        for name in operation.path_parameters
    ]


def _of_path(collection: str) -> dict[str, Any]:
    """Describe what names one of a collection."""
    return {"type": "string", "pattern": PLUGIN_ID} if collection == "plugins" else {"type": "string"}


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = _query_schemas(operation).pop(operation.query.__name__)
    parameters = []
    for name, described in schema["properties"].items():
        details = dict(described)
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": details.pop("description", ""),
                "schema": details,
            }
        )
    return parameters


def _query_schemas(operation: Operation) -> dict[str, Any]:
    """Describe the query, and whatever it refers to, by name."""
    _, components = msgspec.json.schema_components([operation.query], ref_template=_REFERENCE)
    return components


def _responses(operation: Operation, schema_of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, content in operation.answers.items():
        schema = {"type": "string"} if content.type is None else schema_of[id(content.type)]
        responses[str(status)] = {
            "description": content.description,
            "headers": {"X-Correlation-ID": _CORRELATION},
            **({"content": {content.media_type: {"schema": schema}}} if content.media_type else {}),
        }
    for status in operation.all_problems:
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": {"X-Correlation-ID": _CORRELATION},
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name=Problem.__name__)}}},
        }
    return dict(sorted(responses.items()))
