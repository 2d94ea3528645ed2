"""The event log over HTTP: following it without gap or repeat, verifying it, requests that happen once."""

import contextlib
import json
import socket
import threading
from typing import Any

import httpx

from tests.integration.server.flexcore_process import FlexCoreProcess, run_command, running
from tests.servers import PostgresServer, wait_until

EVENTS = "/api/v1/flexcore/events"


def thing(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "ThingHappened", "aggregate_id": "a", "aggregate_type": "Thing", "data": {"number": number}} | more


class Follower:
    """A client of events/stream that keeps what it gets."""

    def __init__(self, api: httpx.Client, **request: Any) -> None:
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self._opened = threading.Event()
        self._client = httpx.Client(base_url=api.base_url, headers=api.headers, timeout=30, trust_env=False)
        self._request = request
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()
        assert self._opened.wait(10), "the stream opens"

    def _follow(self) -> None:
        fields: dict[str, str] = {}
        with (
            contextlib.suppress(httpx.TransportError),  # how a stream ends that its client closes
            self._client.stream("GET", f"{EVENTS}/stream", **self._request) as answer,
        ):
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for line in answer.iter_lines():
                self._opened.set()
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "id" in fields:
                    self.events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                    fields = {}

    @property
    def positions(self) -> list[int]:
        return [position for position, _, _ in self.events]

    def wait_for(self, number: int) -> None:
        wait_until(lambda: len(self.events) >= number, 15, f"{number} events on the stream")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._client.close()
        assert not self._thread.is_alive()


def test_a_follower_gets_what_is_recorded_from_now_on(api: httpx.Client) -> None:
    before = api.post(EVENTS, json=thing()).json()["position"]
    follower = Follower(api)
    for number in range(5):
        api.post(EVENTS, json=thing(number)).raise_for_status()
    follower.wait_for(5)
    follower.close()
    mine = [(position, data) for position, _, data in follower.events if data["aggregate_id"] == "a"]
    assert [position for position, _ in mine] == list(range(before + 1, before + 6))
    assert [data["data"]["number"] for _, data in mine] == list(range(5))
    assert {data["type"] for _, data in mine} == {"ThingHappened"}


def test_a_follower_resumes_where_it_was(api: httpx.Client) -> None:
    first = api.post(f"{EVENTS}/batch", json={"events": [thing(n) for n in range(10)]}).json()["events"][0]["position"]
    follower = Follower(api, params={"from": first})
    follower.wait_for(10)
    follower.close()
    resumed = Follower(api, params={"from": 1}, headers={"Last-Event-ID": str(first + 3)})
    resumed.wait_for(6)
    resumed.close()
    assert follower.positions[:10] == list(range(first, first + 10))
    assert resumed.positions[:6] == list(range(first + 4, first + 10))


def test_a_wrong_start_is_refused(api: httpx.Client) -> None:
    for request in ({"params": {"from": "-1"}}, {"params": {"from": "x"}}, {"headers": {"Last-Event-ID": "x"}}):
        assert api.get(f"{EVENTS}/stream", **request).status_code == 400


def test_following_outlives_an_outage_of_the_database(
    flexcore: FlexCoreProcess, api: httpx.Client, faulty_postgres: PostgresServer
) -> None:
    start = api.post(EVENTS, json=thing()).json()["position"]
    follower = Follower(api)
    faulty_postgres.kill()
    faulty_postgres.start()

    def append() -> bool:
        return api.post(EVENTS, json=thing()).is_success

    wait_until(append, 15, "an append after the outage")
    follower.wait_for(1)
    follower.close()
    assert follower.positions[0] == start + 1


def test_verify(api: httpx.Client) -> None:
    position = api.post(EVENTS, json=thing()).json()["position"]
    answer = api.get(f"{EVENTS}/verify").json()
    assert (answer["verified"], answer["first_bad_position"]) == (True, None)
    assert answer["checked"] >= position
    part = api.get(f"{EVENTS}/verify", params={"from": position, "to": position}).json()
    assert (part["verified"], part["checked"]) == (True, 1)
    for query in ({"from": "0"}, {"from": "2", "to": "1"}, {"to": "x"}):
        assert api.get(f"{EVENTS}/verify", params=query).status_code == 400


def test_an_event_under_a_key_is_recorded_once(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = api.post(EVENTS, json=thing(1), headers=headers)
    again = api.post(EVENTS, json=thing(1), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = api.post(EVENTS, json=thing(2), headers=headers)
    assert other.status_code == 409
    assert "used for another request" in other.json()["detail"]
    batch = [api.post(f"{EVENTS}/batch", json={"events": [thing(), thing()]}, headers=headers).json() for _ in range(2)]
    assert batch[0] == batch[1]
    for key in (b"", "ü".encode(), b"a b", b"x" * 201):
        assert api.post(EVENTS, json=thing(), headers={b"Idempotency-Key": key}).status_code == 400


def test_the_command_verifies_and_names_the_bad_position(
    api: httpx.Client, environ: dict[str, str], postgres_server: PostgresServer, database_name: str, tmp_path: Any
) -> None:
    for number in range(5):
        api.post(EVENTS, json=thing(number)).raise_for_status()
    good = run_command("events", "verify", environ=environ)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("verified: ")
    assert "no state_directory is set" in good.stdout

    with postgres_server.connect(database=database_name) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE events SET data = '{}' WHERE position = 3")
    bad = run_command("events", "verify", environ=environ)
    assert bad.returncode == 1
    assert bad.stdout.startswith("NOT VERIFIED, first bad position 3: ")
    assert run_command("events", "verify", "--from", "4", environ=environ).returncode == 0
    assert run_command("events", "verify", "--from", "4", "--to", "2", environ=environ).returncode == 64
    away = run_command("events", "verify", environ={**environ, "POSTGRES_PORT": "1"})
    assert (away.returncode, away.stderr) == (69, "flexcore: PostgreSQL refuses connections\n")


def test_a_node_with_a_state_directory_signs_checkpoints(environ: dict[str, str], tmp_path: Any) -> None:
    with running({**environ, "STATE_DIRECTORY": str(tmp_path)}) as process, process.client() as client:
        client.post(EVENTS, json=thing()).raise_for_status()
        file = tmp_path / "checkpoints.jsonl"
        wait_until(lambda: file.exists() and '"position"' in file.read_text(), 20, "a checkpoint")
        checked = run_command("events", "verify", environ={**environ, "STATE_DIRECTORY": str(tmp_path)})
    assert checked.returncode == 0
    assert "signed checkpoints compared" in checked.stdout
