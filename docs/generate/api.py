"""The API reference from the OpenAPI document that the server describes itself with."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docs.generate.markdown import NOTICE, page, table, value
from flexcore.presentation.http import openapi, routes
from flexcore.presentation.http.operations import Operation

TAGS_FIRST = (
    "health",
    "status",
    "plugins",
    "pipelines",
    "commands",
    "queries",
    "events",
    "cluster",
    "runtime",
    "logs",
    "services",
    "access",
)


def operations() -> list[Operation]:
    """List every operation that the route classes declare."""
    declared = []
    for module in pkgutil.iter_modules(routes.__path__):
        content = vars(import_module(f"{routes.__name__}.{module.name}"))
        for name, kind in sorted(content.items()):
            if name.endswith("Routes") and inspect.isclass(kind):
                # Declaring a route touches nothing of what its handlers will use.
                nothing = [None] * (len(inspect.signature(kind).parameters))
                declared.extend(kind(*nothing).operations())
    return declared


def reference() -> str:
    """Write the page of all routes and shapes."""
    document = openapi.document(operations(), "")
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    tags = sorted(by_tag, key=lambda tag: (TAGS_FIRST.index(tag) if tag in TAGS_FIRST else len(TAGS_FIRST), tag))
    blocks = [
        NOTICE.format(source="src/flexcore/presentation/http"),
        "# HTTP API of FlexCore",
        "A running server describes itself at `/openapi.json` (OpenAPI 3.1); this page is the same, for reading. "
        "A route that needs a role is for callers with `Authorization: Bearer <token>` who have it or a higher one: "
        "viewer, operator, admin. Every answer carries `X-Correlation-ID`, and every error is a "
        "[problem document](#problem).",
    ]
    for tag in tags:
        blocks.append(f"## {tag.capitalize()}: routes")
        for method, path, operation in by_tag[tag]:
            blocks.extend(_operation(method, path, operation))
    blocks.append("## Shapes")
    for name, schema in sorted(document["components"]["schemas"].items()):
        blocks.extend(_shape(name, schema))
    return page(*blocks)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`"
    role = operation.get("x-required-role")
    yield operation["summary"].rstrip(".") + "." + (f" Needs the role {role}." if role else "")
    query = [parameter for parameter in operation["parameters"] if parameter["in"] == "query"]
    if query:
        yield table(
            ("Parameter", "Type", "Default", "Meaning"),
            (
                (
                    f"`{parameter['name']}`",
                    _type(_without_null(parameter["schema"])),
                    "**required**" if parameter["required"] else value(parameter["schema"].get("default")),
                    parameter["description"],
                )
                for parameter in query
            ),
        )
    if "requestBody" in operation:
        yield f"Body: {_type(operation['requestBody']['content']['application/json']['schema'])}"
    good = {status: answer for status, answer in operation["responses"].items() if not _is_problem(answer)}
    problems = [status for status, answer in operation["responses"].items() if _is_problem(answer)]
    yield table(("Status", "Answer", "Meaning"), (_answer(status, answer) for status, answer in good.items()))
    if problems:
        yield f"Problems: {', '.join(problems)}."


def _is_problem(answer: dict[str, Any]) -> bool:
    return "application/problem+json" in answer.get("content", ())


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str, str]:
    if "content" not in answer:
        return status, "nothing", answer["description"]
    ((media_type, content),) = answer["content"].items()
    shape = _type(content["schema"]) if media_type == "application/json" else f"`{media_type}`"
    return status, shape, answer["description"]


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    if schema.get("description"):
        yield inspect.cleandoc(schema["description"])
    if "enum" in schema:
        yield "One of " + ", ".join(value(choice) for choice in schema["enum"]) + "."
    if schema.get("properties"):
        required = schema.get("required", [])
        yield table(
            ("Member", "Type", "Always", "Meaning"),
            (
                (
                    f"`{member}`",
                    _type(described),
                    "yes" if member in required else "",
                    described.get("description", ""),
                )
                for member, described in schema["properties"].items()
            ),
        )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(value(choice) for choice in schema["enum"] if choice is not None)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or {})}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])} by name"
    limits = [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    return ", ".join([schema.get("format") or schema.get("type", "any"), *limits])


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter as it is given; null only stands for leaving it out."""
    given = [part for part in schema.get("anyOf", []) if part != {"type": "null"}]
    return given[0] if len(given) == 1 else schema


_LIMITS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "length from {}",
    "maxLength": "length to {}",
}
