"""Odd input to every operation is refused as the server's own document says, and is never an error of the server."""

from typing import Any

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess

BODIES = {
    "nothing": b"",
    "null": b"null",
    "array": b"[]",
    "not a number": b'{"v": NaN}',
    "beyond a float": b'{"v": 1e999}',
    "beyond any integer": b'{"v": ' + b"9" * 5000 + b"}",
    "two documents": b"{} {}",
    "comment": b"{} // really",
    "NUL": b'{"v": "\0"}',
    "invalid UTF-8": b'{"v": "\xff"}',
    "half a surrogate pair": b'{"v": "\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"v":' * 100_000 + b"1" + b"}" * 100_000,
}
CREDENTIALS_BYTES = 8192
NAMES = ("%00", "%ff", "%ED%A0%80", "%F0%9F%98%80", "%0D%0Ax", "%2e%2e", "a" * 5000, "A", "-", "x;y=1", "%25")


@pytest.fixture
def document(checked: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = checked.get("/openapi.json").json()
    return found


@pytest.fixture(autouse=True)
def _no_error_is_logged(flexcore: FlexCoreProcess) -> Any:
    yield
    assert [line for line in flexcore.log if line["level"] == "error"] == []


def of_method(document: dict[str, Any], method: str) -> list[str]:
    return [path for path, operations in document["paths"].items() if method in operations]


def named(path: str, name: str = "simple-processor") -> str:
    return path.replace("{id}", name).replace("{name}", name)


def test_odd_bodies(checked: httpx.Client, document: dict[str, Any]) -> None:
    for path in of_method(document, "post"):
        required = document["paths"][path]["post"].get("requestBody", {}).get("required", False)
        for what, body in BODIES.items():
            if what == "nothing" and not required:
                continue
            answer = checked.post(named(path), content=body, headers={"content-type": "application/json"})
            # Credentials are short: what is longer need not even be read.
            too_large = path.startswith("/auth/") and len(body) > CREDENTIALS_BYTES
            assert answer.status_code in ({400, 413} if too_large else {400}), (path, what)


def test_odd_names(checked: httpx.Client, document: dict[str, Any]) -> None:
    for method in ("get", "post"):
        for path in (path for path in of_method(document, method) if "{" in path):
            for name in NAMES:
                answer = checked.request(method, named(path, name), **({"json": {}} if method == "post" else {}))
                assert answer.status_code in {400, 404}, (path, name)


def test_parameters_that_nobody_knows(checked: httpx.Client, document: dict[str, Any]) -> None:
    for path in of_method(document, "get"):
        for query in ("x=1", "%ff", "=", "%00=%00"):
            assert checked.get(f"{named(path)}?{query}").status_code == 400, (path, query)


def test_parameters_beyond_all_bounds(api: httpx.Client, document: dict[str, Any]) -> None:
    values = ("-1", "1e3", "9" * 500, "NaN", "%D9%A3", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00%2B14:00")
    for path in of_method(document, "get"):
        for parameter in document["paths"][path]["get"]["parameters"]:
            if parameter["in"] == "query":
                for value in values:
                    # Opened only: a stream does not end.
                    with api.stream("GET", f"{named(path)}?{parameter['name']}={value}") as answer:
                        assert answer.status_code in {200, 400}, (path, parameter["name"], value)


@pytest.mark.parametrize("expected_version", [1 << 53, 1 << 63, 10**30, -1, 0.5, "0", True])
def test_a_version_that_no_stream_can_have(checked: httpx.Client, expected_version: object) -> None:
    event = {"type": "OrderPlaced", "aggregate_id": "o-1", "aggregate_type": "Order"}
    answer = checked.post("/api/v1/flexcore/events", json=event | {"expected_version": expected_version})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expected_version")
    answer = checked.post("/api/v1/flexcore/events", json=event | {"expected_version": (1 << 53) - 1})
    assert answer.status_code == 409


def test_a_time_outside_the_calendar_names_its_parameter(checked: httpx.Client) -> None:
    answer = checked.get("/api/v1/flexcore/events?from_timestamp=9999-12-31T23:59:59-14:00")
    assert answer.json()["errors"] == [{"field": "from_timestamp", "message": "must lie in the years 1 to 9999 UTC"}]


def test_numbers_that_fit_are_kept_as_they_are(checked: httpx.Client) -> None:
    data = {"large": 10**30, "exact": (1 << 53) + 1, "small": -(10**30), "text": "\U0001f600\u2028"}
    event = {"type": "OrderPlaced", "aggregate_id": "o-1", "aggregate_type": "Order", "data": data}
    assert checked.post("/api/v1/flexcore/events", json=event).status_code == 201
    (found,) = checked.get("/api/v1/flexcore/events?aggregate_id=o-1").json()["events"]
    assert found["data"] == data


def test_methods_that_a_path_does_not_have(api: httpx.Client, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method in {"get", "post", "put", "patch", "delete", "options", "trace", "propfind"} - set(operations):
            answer = api.request(method.upper(), named(path))
            assert answer.status_code == 405, (path, method)
            assert answer.headers["content-type"] == "application/problem+json"
            assert set(operations) <= set(answer.headers["allow"].lower().split(", "))


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"type":"X","aggregate_id":"a","aggregate_type":"T","data":[1]}', "data", "expected object"),
        (b'{"type":"X","aggregate_id":"a","aggregate_type":"T","metadata":1}', "metadata", "expected object"),
        (b'{"type":"X","aggregate_id":"a","aggregate_type":"T","data":{"a":"\xff"}}', "data", "must be UTF-8"),
        (
            b'{"type":"X","aggregate_id":"a","aggregate_type":"T","data":{"a":"' + b"x" * 1024 * 1024 + b'"}}',
            "data",
            "must be at most 1048576 bytes of JSON, not 1048584",
        ),
        (
            b'{"type":"X","aggregate_id":"a","aggregate_type":"T","metadata":{"a":"' + b"x" * 16 * 1024 + b'"}}',
            "metadata",
            "must be at most 16384 bytes of JSON, not 16392",
        ),
    ],
)
def test_an_event_of_a_wrong_shape_or_size_is_refused(
    checked: httpx.Client, body: bytes, field: str, words: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = checked.post("/api/v1/flexcore/events", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": field, "message": words}]
    batch = checked.post("/api/v1/flexcore/events/batch", content=b'{"events":[%s]}' % body, headers=headers)
    assert batch.json()["errors"] == [{"field": f"events[0].{field}", "message": words}]


def test_the_text_of_an_event_is_kept_as_it_was_sent_but_for_white_space(checked: httpx.Client) -> None:
    data = b'{ "big": 123456789012345678901234567890.5, "twice": 1,\n "twice": 2, "e": 1.50e+10, "nul": "\\u0000" }'
    body = b'{"type":"X","aggregate_id":"kept","aggregate_type":"T","data":%s}' % data
    checked.post(
        "/api/v1/flexcore/events", content=body, headers={"content-type": "application/json"}
    ).raise_for_status()
    answer = checked.get("/api/v1/flexcore/events", params={"aggregate_id": "kept"})
    kept = b'{"big":123456789012345678901234567890.5,"twice":1,"twice":2,"e":1.50e+10,"nul":"\\u0000"}'
    assert b'"data":' + kept in answer.content
