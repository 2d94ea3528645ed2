"""Clients that append through two nodes for as long as they are let, whatever happens to the nodes."""

import asyncio
import contextlib
import itertools
import random
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from tests.crash.journal import Attempt, Journal, Outcome, Place

AGGREGATE_TYPE = "Crash"
EVENTS = "/api/v1/flexcore/events"
SHARED = "shared"
"""An aggregate that all clients write to, without an expected version."""
ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.02


class Clients:
    """`count` clients in a thread of their own; each sends its next append when it knows what became of the last."""

    def __init__(self, urls: Sequence[str], token: str, journal: Journal, count: int) -> None:
        self._urls = urls
        self._token = token
        self._journal = journal
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()), name="clients")
        self._failure: BaseException | None = None
        self.last_trouble = "no request failed so far"
        self.details: Counter[str] = Counter()
        """What the answers said that told of a failure, and how often."""

    def start(self) -> None:
        """Let them begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let each finish what it has sent; raises what went wrong in a client, such as an answer nobody expects."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def wait_for_more(self, count: int, seconds: float = 60) -> None:
        """Return once `count` more appends were acknowledged."""
        self._journal.wait_for_more(count, seconds, lambda: self.last_trouble)

    async def _write(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=2 * self._count)
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            async with (
                httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits, headers=headers, trust_env=False) as http,
                asyncio.TaskGroup() as tasks,
            ):
                for number in range(self._count):
                    tasks.create_task(self._client(http, number))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that stops the clients
            self._failure = error

    async def _client(self, http: httpx.AsyncClient, number: int) -> None:
        urls = itertools.cycle(self._urls[number % len(self._urls) :] + self._urls[: number % len(self._urls)])
        client = _Client(http, self._journal, f"{uuid.uuid4()}", urls, self)
        while not self._stop.is_set():
            await random.choice((client.plain, client.expecting, client.batch, client.with_key))()

    @property
    def troubles(self) -> int:
        """How many answers told of a failure so far."""
        return sum(list(self.details.values()))

    @property
    def stopping(self) -> bool:
        """Whether they were told to stop."""
        return self._stop.is_set()


@contextmanager
def appending(urls: Sequence[str], token: str, journal: Journal, count: int) -> Iterator[Clients]:
    """Let `count` clients append for the length of a block."""
    clients = Clients(urls, token, journal, count)
    clients.start()
    try:
        yield clients
    finally:
        clients.stop()


class _Client:
    def __init__(
        self, http: httpx.AsyncClient, journal: Journal, name: str, urls: Iterator[str], clients: Clients
    ) -> None:
        self._http = http
        self._journal = journal
        self._name = name
        self._urls = urls
        self._url = next(urls)
        self._clients = clients
        self._numbers = itertools.count()
        self._version = 0

    async def plain(self) -> None:
        """One event, whatever the version is."""
        await self._send(self._begin(random.choice((SHARED, f"{self._name}-plain"))))

    async def expecting(self) -> None:
        """One event of a stream that only this client writes to, so that it knows the version.

        When there is no answer, the next attempt with the same version finds out: one of them is refused.
        """
        attempt = self._begin(f"{self._name}-versioned")
        await self._send(attempt, expected=self._version)
        if attempt.outcome is not Outcome.UNKNOWN:
            # Refused: then it was the last attempt, unanswered, that took this version.
            self._version += 1

    async def batch(self) -> None:
        """Several events of several aggregates, all or none."""
        aggregates = random.choices((SHARED, f"{self._name}-plain", f"{self._name}-batch"), k=random.randint(2, 5))
        await self._send(self._begin(*aggregates))

    async def with_key(self) -> None:
        """One event or a batch with an Idempotency-Key, sent until there is an answer."""
        attempt = self._begin(*random.choices((SHARED, f"{self._name}-keyed"), k=random.randint(1, 3)))
        while attempt.outcome is Outcome.UNKNOWN and not self._clients.stopping:
            await self._send(attempt, key=f"key-{attempt.name}")
            assert attempt.outcome is not Outcome.REFUSED, "an append with a key of its own was refused"

    def _begin(self, *aggregates: str) -> Attempt:
        return self._journal.begin(f"{self._name}-{next(self._numbers)}", aggregates)

    async def _send(self, attempt: Attempt, *, expected: int | None = None, key: str | None = None) -> None:
        bodies: list[dict[str, Any]] = [
            {
                "type": "Crashed",
                "aggregate_type": AGGREGATE_TYPE,
                "aggregate_id": aggregate,
                "data": {"attempt": attempt.name, "index": index},
            }
            for index, aggregate in enumerate(attempt.aggregates)
        ]
        if expected is not None:
            bodies[0]["expected_version"] = expected
        single = len(bodies) == 1
        path, body = (EVENTS, bodies[0]) if single else (f"{EVENTS}/batch", {"events": bodies})
        headers = {} if key is None else {"idempotency-key": key}
        try:
            answer = await self._http.post(self._url + path, json=body, headers=headers)
        except httpx.TransportError as error:
            await self._trouble(f"{type(error).__name__} {error}")
            return
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            self._clients.details[answer.json()["detail"]] += 1
            await self._trouble(answer.json()["detail"])
        elif answer.status_code == 409 and expected is not None:
            self._journal.refuse(attempt)
        else:
            assert answer.status_code == 201, f"{attempt.name}: {answer.status_code} {answer.text}"
            found = [answer.json()] if single else answer.json()["events"]
            places = tuple(Place(event["id"], event["position"], event["version"]) for event in found)
            self._journal.acknowledge(attempt, places)

    async def _trouble(self, what: str) -> None:
        self._clients.last_trouble = f"{self._url} last said: {what}"
        self._url = next(self._urls)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(_PAUSE_SECONDS)  # as a client would: it does not ask a dead server in a tight loop
