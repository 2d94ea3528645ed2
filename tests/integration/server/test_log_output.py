"""Standard output that nobody reads: the server goes on, and forgets nothing that it can still tell."""

import signal

import httpx

from tests.integration.server.flexcore_process import FlexCoreProcess

# Their log lines are several times what a pipe holds.
REQUESTS = 500
PATH = "/" + "x" * 250


def test_unread_output_stops_no_request_and_is_complete_once_read(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    with flexcore.unread():
        for number in range(REQUESTS):
            assert api.get(PATH, headers={"x-correlation-id": f"request-{number}"}).status_code == 404
        assert api.get("/health").status_code == 200
        newest = api.get("/api/v1/flexcore/logs", params={"lines": 1}).json()["logs"]
        assert newest[0]["correlation_id"] == f"request-{REQUESTS - 1}"
    flexcore.signal(signal.SIGTERM)
    assert flexcore.wait() == 0
    told = [line["correlation_id"] for line in flexcore.log if line["message"].startswith("GET /x")]
    assert told == [f"request-{number}" for number in range(REQUESTS)]
    assert flexcore.log[-1]["message"] == "stopped"


def test_unread_output_does_not_keep_the_process_from_ending(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    with flexcore.unread():
        for _ in range(REQUESTS):
            api.get(PATH)
        flexcore.signal(signal.SIGTERM)
        assert flexcore.wait() == 0
    assert flexcore.stderr() == ""
