"""The OpenAPI document says what the declarations say."""

from collections.abc import Callable

import httpx

Send = Callable[..., httpx.Response]


def test_the_document_follows_from_the_operations(send: Send) -> None:
    document = send("GET", "/openapi.json", authorized=False).json()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.0"
    assert set(document["paths"]) == {"/open", "/things/{id}", "/touch", "/note", "/openapi.json", "/metrics"}
    post = document["paths"]["/things/{id}"]["post"]
    assert post["parameters"] == [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    assert post["requestBody"]["required"] is True
    assert document["paths"]["/note"]["post"]["requestBody"]["required"] is False
    assert "requestBody" not in document["paths"]["/touch"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Parcel"}
    assert set(post["responses"]) == {"200", "400", "401", "403", "413", "415", "500"}
    assert document["components"]["schemas"]["Parcel"]["additionalProperties"] is False


def test_parameters_carry_limits_and_defaults(send: Send) -> None:
    operation = send("GET", "/openapi.json").json()["paths"]["/open"]["get"]
    limit = next(parameter for parameter in operation["parameters"] if parameter["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}
    assert limit["description"] == "How many"
    assert not limit["required"]


def test_open_operations_need_no_token_and_the_others_do(send: Send) -> None:
    paths = send("GET", "/openapi.json").json()["paths"]
    assert paths["/open"]["get"]["security"] == []
    assert "401" not in paths["/open"]["get"]["responses"]
    assert paths["/things/{id}"]["get"]["security"] == [{"token": []}]


def test_metrics_are_text(send: Send) -> None:
    response = send("GET", "/metrics", authorized=False)
    assert response.text == "# metrics\n"
    assert response.headers["content-type"].startswith("text/plain; version=")
