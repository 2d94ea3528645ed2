"""Any sequence of appends, repetitions, races, reads and forgeries, on two nodes, held against a model of a page."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import uuid_utils
import uvloop
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from flexcore.application.events import Events
from flexcore.application.ports import Appended, EventQuery, Receipt
from flexcore.application.verification import Verifier
from flexcore.domain.checkpoint import Checkpoint
from flexcore.domain.errors import Conflict, VersionConflict
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from tests.integration.postgres.log_model import LogModel
from tests.integration.postgres.tampering import (
    NOT_AT_THE_END,
    TAMPERINGS,
    Connection,
    cut_off_from,
    rewrite_from,
    tampered,
)
from tests.servers import PostgresServer

NODES = st.integers(0, 1)
TYPES = st.sampled_from(["Started", "Ended"])
AGGREGATE_TYPES = st.sampled_from(["Thing", "Other"])
AGGREGATE_IDS = st.sampled_from(["a", "b", "ä/∞ ", "'); --"])
SIGNED_AT = datetime(2025, 8, 1, tzinfo=UTC)
KEYS = st.sampled_from(["create:1", "create:2", "run:1"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)


@dataclass(frozen=True)
class Draft:
    """An event without its expected version, and how that relates to the true one: 0 equals it, None is not given."""

    event: NewEvent
    off_by: int | None


DRAFTS = st.builds(
    Draft,
    st.builds(NewEvent, TYPES, AGGREGATE_IDS, AGGREGATE_TYPES, OBJECTS, OBJECTS),
    st.sampled_from([None, None, 0, 0, 0, -1, 1]),
)


class Log:
    """The stores of two nodes on one database, and the superuser's connection to it."""

    def __init__(self, access: PostgresAccess, superuser: Connection) -> None:
        self.superuser = superuser
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._databases = [Database(access, node_id=f"node{number}", connections=4) for number in (1, 2)]
        for database in self._databases:
            self.do(database.connect())
        self.stores = [PostgresEventStore(database) for database in self._databases]
        self.chain = PostgresStoredChain(self._databases[0], page=3)
        self.events = [Events(store, lambda: str(uuid_utils.uuid7())) for store in self.stores]

    def do(self, coroutine: Any) -> Any:
        """Run a coroutine to its end."""
        return self._runner.run(coroutine)

    def empty(self) -> None:
        """Forget everything."""
        with self.superuser.transaction():
            self.superuser.execute("SET LOCAL session_replication_role = replica")
            self.superuser.execute("TRUNCATE events, receipts")

    def close(self) -> None:
        """Close all connections."""
        for database in self._databases:
            self.do(database.close())
        self._runner.close()


@dataclass(frozen=True)
class Signed:
    """Checkpoints that were kept where no database's superuser can change them."""

    checkpoints: Sequence[Checkpoint]

    async def read(self) -> Sequence[Checkpoint]:
        return self.checkpoints


class Machine(RuleBasedStateMachine):
    """Does something to the log, and the same to the model."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self._log.empty()
        self._model = LogModel()
        self._requests: dict[str, list[NewEvent]] = {}

    @rule(node=NODES, drafts=st.lists(DRAFTS, min_size=1, max_size=4))
    def append(self, node: int, drafts: list[Draft]) -> None:
        new = self._with_versions(drafts)
        if self._model.accepts(new):
            self._model.record(new, self._append(node, new))
        else:
            with pytest.raises(VersionConflict):
                self._append(node, new)

    @rule(node=NODES, key=KEYS, drafts=st.lists(DRAFTS, max_size=2), answer=JSON)
    def append_with_receipt(self, node: int, key: str, drafts: list[Draft], answer: Any) -> None:
        new = self._with_versions(drafts)
        receipt = Receipt(key, fingerprint(new), answer)
        if key in self._model.receipts:
            self._expect_repetition(node, new, receipt)
        elif self._model.accepts(new):
            appended = self._append(node, new, receipt)
            self._model.record(new, appended)
            assert appended.answer == answer
            self._model.receipts[key] = (receipt.fingerprint, appended)
            self._requests[key] = new
        else:
            with pytest.raises(VersionConflict):
                self._append(node, new, receipt)

    @precondition(lambda self: self._requests)
    @rule(node=NODES, data=st.data())
    def repeat(self, node: int, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self._requests)))
        self._expect_repetition(node, self._requests[key], Receipt(key, self._model.receipts[key][0], "another answer"))

    @rule(batches=st.lists(st.tuples(NODES, st.lists(DRAFTS, min_size=1, max_size=3)), min_size=2, max_size=6))
    def append_together(self, batches: list[tuple[int, list[Draft]]]) -> None:
        """Appends that share a transaction, or not, stand in some order, and each is refused only if it must be."""
        news = [self._with_versions(drafts) for _, drafts in batches]
        ended = self._together([(node, new, None) for (node, _), new in zip(batches, news, strict=True)])
        refusable = [not self._model.accepts(new) for new in news]
        recorded = [number for number, end in enumerate(ended) if isinstance(end, Appended)]
        for number in sorted(recorded, key=lambda number: ended[number].events[0].position):
            assert self._model.accepts(news[number])
            self._model.record(news[number], ended[number])
            refusable = [was or not self._model.accepts(new) for was, new in zip(refusable, news, strict=True)]
        for number, end in enumerate(ended):
            assert number in recorded or (isinstance(end, VersionConflict) and refusable[number])

    @rule(draft=DRAFTS, racers=st.integers(2, 6))
    def race_for_a_version(self, draft: Draft, racers: int) -> None:
        (new,) = self._with_versions([replace(draft, off_by=0)])
        ended = self._together([(racer % 2, [new], None) for racer in range(racers)])
        (winner,) = [appended for appended in ended if isinstance(appended, Appended)]
        assert all(isinstance(other, VersionConflict) for other in ended if other is not winner)
        self._model.record([new], winner)

    @precondition(lambda self: "race" not in self._model.receipts)
    @rule(drafts=st.lists(DRAFTS, min_size=1, max_size=2), racers=st.integers(2, 6))
    def race_with_one_receipt(self, drafts: list[Draft], racers: int) -> None:
        new = self._with_versions([replace(draft, off_by=None) for draft in drafts])
        receipt = Receipt("race", fingerprint(new), {"done": True})
        ended = self._together([(racer % 2, new, receipt) for racer in range(racers)])
        (first,) = [appended for appended in ended if not appended.repeated]
        assert all(replace(other, repeated=False) == first for other in ended)
        self._model.record(new, first)
        self._model.receipts["race"] = (receipt.fingerprint, first)
        self._requests["race"] = new

    @rule(node=NODES, data=st.data(), limit=st.integers(1, 7))
    def read_pages(self, node: int, data: st.DataObject, limit: int) -> None:
        moments = st.none()
        if self._model.events:
            moments |= st.sampled_from([event.timestamp for event in self._model.events])
        query = EventQuery(
            aggregate_id=data.draw(st.none() | AGGREGATE_IDS),
            aggregate_type=data.draw(st.none() | AGGREGATE_TYPES),
            event_type=data.draw(st.none() | TYPES),
            from_timestamp=data.draw(moments),
            to_timestamp=data.draw(moments),
            limit=limit,
        )
        expected = self._model.page(query)
        found, more = [], True
        while more:
            page = self._log.do(self._log.events[node].page(query))
            found += page.events
            assert len(page.events) == min(limit, len(expected) - len(found) + len(page.events))
            more, query = page.has_more, replace(query, cursor=page.next_cursor)
        assert found == expected

    @rule(node=NODES, kind=AGGREGATE_TYPES, name=AGGREGATE_IDS, after=st.integers(0, 5))
    def read_stream(self, node: int, kind: str, name: str, after: int) -> None:
        found = self._log.do(self._log.stores[node].stream(kind, name, after))
        assert found == self._model.stream(kind, name)[after:]

    @rule(node=NODES, after=st.integers(0, 40), limit=st.integers(1, 10), kinds=st.none() | st.lists(AGGREGATE_TYPES))
    def read_feed(self, node: int, after: int, limit: int, kinds: list[str] | None) -> None:
        found = self._log.do(self._log.stores[node].feed(after, limit, kinds))
        positions = self._model.events[after : after + limit]
        assert found == [event for event in positions if kinds is None or event.aggregate_type in kinds]

    @precondition(lambda self: self._model.events)
    @rule(data=st.data(), tamper=st.sampled_from(TAMPERINGS))
    def tamper(self, data: st.DataObject, tamper: Callable[[Connection, int], None]) -> None:
        # What is removed from the end is only missed by who knows that it was there: that is for the checkpoints.
        last = len(self._model.events) - (tamper in NOT_AT_THE_END)
        assume(last > 0)
        positions = sorted(data.draw(st.sets(st.integers(1, last), min_size=1, max_size=3)), reverse=True)
        with tampered(self._log.superuser):
            for position in positions:
                tamper(self._log.superuser, position)
            assert self._first_bad_position() == positions[-1]

    @precondition(lambda self: self._model.events)
    @rule(data=st.data())
    def rewrite_the_end(self, data: st.DataObject) -> None:
        """A forger who mends the chain, or cuts the log off, is found by the signed checkpoints alone."""
        position = data.draw(st.integers(1, len(self._model.events)))
        forge = data.draw(st.sampled_from([rewrite_from, cut_off_from]))
        signed = [Checkpoint(event.position, event.hash, SIGNED_AT, "node1") for event in self._model.events]
        with tampered(self._log.superuser):
            forge(self._log.superuser, position)
            assert self._first_bad_position() is None
            assert self._first_bad_position(signed) == position

    @invariant()
    def the_chain_holds(self) -> None:
        assert self._first_bad_position() is None
        assert self._log.do(self._log.stores[0].head()) == len(self._model.events)

    def _first_bad_position(self, checkpoints: Sequence[Checkpoint] = ()) -> int | None:
        found = self._log.do(Verifier(self._log.chain, Signed(checkpoints)).verify())
        assert found.verified is (found.first_bad_position is None)
        position: int | None = found.first_bad_position
        return position

    def _with_versions(self, drafts: Sequence[Draft]) -> list[NewEvent]:
        versions: dict[tuple[str, str], int] = {}
        new = []
        for draft in drafts:
            stream = (draft.event.aggregate_type, draft.event.aggregate_id)
            version = versions.setdefault(stream, self._model.version(*stream))
            versions[stream] += 1
            expected = None if draft.off_by is None else max(0, version + draft.off_by)
            new.append(replace(draft.event, expected_version=expected))
        return new

    def _append(self, node: int, new: Sequence[NewEvent], receipt: Receipt | None = None) -> Appended:
        appended: Appended = self._log.do(self._log.events[node].append(new, receipt=receipt))
        return appended

    def _expect_repetition(self, node: int, new: Sequence[NewEvent], receipt: Receipt) -> None:
        first_fingerprint, first = self._model.receipts[receipt.key]
        if receipt.fingerprint == first_fingerprint:
            assert self._append(node, new, receipt) == replace(first, repeated=True)
        else:
            with pytest.raises(Conflict):
                self._append(node, new, receipt)

    def _together(self, appends: Sequence[tuple[int, Sequence[NewEvent], Receipt | None]]) -> list[Any]:
        """Append through the nodes given, all at once; what each gave or raised."""

        async def append() -> list[Any]:
            tasks = [self._log.events[node].append(new, receipt=receipt) for node, new, receipt in appends]
            return await asyncio.gather(*tasks, return_exceptions=True)

        ended: list[Any] = self._log.do(append())
        return ended


def fingerprint(new: Sequence[NewEvent]) -> str:
    return hashlib.sha256(repr(new).encode()).hexdigest()


@pytest.fixture
def log(postgres_server: PostgresServer, database_name: str, runtime_access: PostgresAccess) -> Iterator[Log]:
    with postgres_server.connect(database=database_name) as superuser:
        log = Log(runtime_access, superuser)
        yield log
        log.close()


def test_the_log_does_what_the_model_does(log: Log) -> None:
    run_state_machine_as_test(
        lambda: Machine(log), settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
    )
