"""The logs of plugins, and the log as it comes."""

import json

import httpx

from tests.integration.server.flexcore_process import FlexCoreProcess

API = "/api/v1/flexcore"


def test_what_a_plugin_says_is_its_log(checked: httpx.Client) -> None:
    logs = f"{API}/plugins/simple-processor/logs"
    assert checked.get(logs).json()["logs"] == []
    body = {"operation": "wait", "parameters": {"data": {"seconds": 0.01}}}
    answer = checked.post(
        f"{API}/plugins/simple-processor/execute", json=body, headers={"X-Correlation-ID": "asked-for-it"}
    )
    page = checked.get(logs, params={"lines": 5}).json()
    assert [record["message"] for record in page["logs"]] == ["waiting for 0.01 s", "waited long enough"]
    assert {record["correlation_id"] for record in page["logs"]} == {"asked-for-it"}
    execution_id = answer.json()["execution_id"]
    for wanted, number in ((execution_id, 2), ("another", 0)):
        assert len(checked.get(logs, params={"execution_id": wanted}).json()["logs"]) == number
    assert checked.get(f"{API}/plugins/json-processor/logs").json()["logs"] == []
    assert checked.get(f"{API}/plugins/nobody/logs").status_code == 404


def test_the_log_is_followed_as_it_comes_and_resumed(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    def follow(number: int, **headers: str) -> list[tuple[str, dict[str, str]]]:
        """Return that many records of requests, each with its id; every request makes one more."""
        found: list[tuple[str, dict[str, str]]] = []
        with api.stream("GET", f"{API}/logs/stream", params={"component": "http"}, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if fields.pop("event", "") == "log":
                    found.append((fields["id"], json.loads(fields["data"])))
                if len(found) >= number:
                    return found
                # The stream is open, or one record further.
                with flexcore.client() as other:
                    other.get("/no-such-path", headers={"X-Correlation-ID": f"{len(found)}-after-{headers}"})
        raise AssertionError("the stream ended")

    first = follow(3)
    assert [record["component"] for _, record in first] == ["http"] * 3
    rest = follow(2, **{"Last-Event-ID": first[0][0]})
    assert [cursor for cursor, _ in rest] == [cursor for cursor, _ in first[1:]]
    assert api.get(f"{API}/logs/stream", headers={"Last-Event-ID": "nonsense"}).status_code == 400
