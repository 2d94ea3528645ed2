"""Checks answers against the server's own OpenAPI document."""

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator


class Contract:
    """The document of one server."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = {
            re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)): operations
            for path, operations in document["paths"].items()
        }

    def check(self, response: httpx.Response) -> None:
        """Raise AssertionError unless the document describes this answer, and the answer is as described."""
        request = response.request
        operation = self._operation(request.method.lower(), request.url.path)
        described = operation["responses"].get(str(response.status_code))
        assert described, f"{request.method} {request.url.path} may not answer {response.status_code}: {response.text}"
        if "content" not in described:
            assert response.content == b""
            return
        media_type = response.headers["content-type"]
        assert media_type in described["content"], f"{media_type} is not one of {list(described['content'])}"
        assert "x-correlation-id" in response.headers
        if media_type.endswith("json"):
            schema = described["content"][media_type]["schema"] | {"components": self._document["components"]}
            Draft202012Validator(schema).validate(response.json())

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for pattern, operations in self._paths.items():
            if pattern.fullmatch(path) and method in operations:
                operation: dict[str, Any] = operations[method]
                return operation
        raise AssertionError(f"the document does not know {method} {path}")
