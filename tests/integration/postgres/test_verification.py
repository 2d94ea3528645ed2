"""The chain of events: whatever somebody with every right does to the table shows, at the right position."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flexcore.application.checkpoints import Checkpointer
from flexcore.application.events import Events
from flexcore.application.verification import Verification, Verifier
from flexcore.domain import chain
from flexcore.domain.errors import InvalidInput
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.checkpoints import CHECKPOINTS_FILE, KEY_FILE, CheckpointFile, NoCheckpoints
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.migrations.versions.r0002_chain import CHAIN_OLD_EVENTS
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from tests.integration.postgres.tampering import Tamper
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio

EVENTS = 10


@pytest.fixture
def stored(database: Database) -> PostgresStoredChain:
    return PostgresStoredChain(database, page=3)


@pytest.fixture
def verifier(stored: PostgresStoredChain) -> Verifier:
    return Verifier(stored, NoCheckpoints())


@pytest.fixture
async def append(store: PostgresEventStore) -> Callable[[int], Awaitable[None]]:
    events = Events(store, lambda: str(uuid.uuid4()))

    async def run(number: int) -> None:
        for index in range(number):
            await events.append([NewEvent("ThingHappened", f"ä{index % 3}", "Thing", {"number": index, "ü": "🙂\n"})])

    return run


async def test_an_empty_log_is_verified(verifier: Verifier) -> None:
    assert await verifier.verify() == Verification(True, 0, 0)


async def test_what_was_appended_is_verified(verifier: Verifier, append: Callable[[int], Awaitable[None]]) -> None:
    await append(EVENTS)
    assert await verifier.verify() == Verification(True, EVENTS, 0)
    assert await verifier.verify(4, 7) == Verification(True, 4, 0)
    assert await verifier.verify(4) == Verification(True, 7, 0)
    assert await verifier.verify(100) == Verification(True, 0, 0)
    for first, last in ((0, None), (5, 4), (1, 2**63)):
        with pytest.raises(InvalidInput):
            await verifier.verify(first, last)


@pytest.mark.parametrize("position", [1, 5, EVENTS])
@pytest.mark.parametrize(
    "change",
    [
        "data = data || ' '",
        "data = replace(data, '1', '2') || 'x'",
        'metadata = \'{"actor": "me"}\'',
        "type = 'OtherThing'",
        "aggregate_id = 'x'",
        "aggregate_type = 'Other'",
        "version = version + 100",
        "id = gen_random_uuid()",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "hash = sha256(hash)",
        # The same characters in a row, with another border between two columns.
        "type = type || left(aggregate_type, 1), aggregate_type = substr(aggregate_type, 2)",
        "aggregate_id = aggregate_id || left(data, 1), data = substr(data, 2)",
    ],
)
async def test_a_changed_event_shows(
    verifier: Verifier, append: Callable[[int], Awaitable[None]], tamper: Tamper, change: str, position: int
) -> None:
    await append(EVENTS)
    tamper(f"UPDATE events SET {change} WHERE position = {position}")  # noqa: S608 - a test's own statement
    found = await verifier.verify()
    assert (found.verified, found.first_bad_position, found.checked) == (False, position, position - 1)


async def test_a_removed_event_shows(
    verifier: Verifier, append: Callable[[int], Awaitable[None]], tamper: Tamper
) -> None:
    await append(EVENTS)
    tamper("DELETE FROM events WHERE position = 6")
    assert (await verifier.verify()).first_bad_position == 6
    assert (await verifier.verify(7)).first_bad_position == 6
    assert (await verifier.verify(8)).verified


async def test_a_removed_event_shows_when_the_others_close_the_gap(
    verifier: Verifier, append: Callable[[int], Awaitable[None]], tamper: Tamper
) -> None:
    await append(EVENTS)
    tamper(
        "DELETE FROM events WHERE position = 6",
        "UPDATE events SET position = -position WHERE position > 6".replace("-position", "position + 1000"),
        "UPDATE events SET position = position - 1001 WHERE position > 1000",
    )
    assert (await verifier.verify()).first_bad_position == 6


async def test_an_inserted_event_shows(
    verifier: Verifier, append: Callable[[int], Awaitable[None]], tamper: Tamper
) -> None:
    await append(EVENTS)
    tamper(
        "UPDATE events SET position = position + 1000 WHERE position > 4",
        "INSERT INTO events SELECT 5, gen_random_uuid(), type, aggregate_type, 'forged', 1, data, metadata,"
        " recorded_at, hash FROM events WHERE position = 4",
        "UPDATE events SET position = position - 999 WHERE position > 1000",
    )
    assert (await verifier.verify()).first_bad_position == 5


async def test_exchanged_events_show(
    verifier: Verifier, append: Callable[[int], Awaitable[None]], tamper: Tamper
) -> None:
    await append(EVENTS)
    tamper(
        "UPDATE events SET position = 1000 WHERE position = 3",
        "UPDATE events SET position = 3 WHERE position = 8",
        "UPDATE events SET position = 8 WHERE position = 1000",
    )
    assert (await verifier.verify()).first_bad_position == 3


class TestCheckpoints:
    @pytest.fixture
    def file(self, tmp_path: Path) -> CheckpointFile:
        return CheckpointFile(tmp_path)

    @pytest.fixture
    def checkpointer(self, stored: PostgresStoredChain, file: CheckpointFile) -> Checkpointer:
        return Checkpointer(stored, file, node_id="core1", clock=lambda: datetime.now(UTC))

    @pytest.fixture
    def verifier(self, stored: PostgresStoredChain, file: CheckpointFile) -> Verifier:
        return Verifier(stored, file)

    async def test_they_fit(
        self, verifier: Verifier, checkpointer: Checkpointer, append: Callable[[int], Awaitable[None]]
    ) -> None:
        await checkpointer.sign()
        for _ in range(3):
            await append(2)
            await checkpointer.sign()
            await checkpointer.sign()
        await append(1)
        assert await verifier.verify() == Verification(True, 7, 3)

    async def test_a_rewritten_chain_shows(
        self,
        verifier: Verifier,
        checkpointer: Checkpointer,
        append: Callable[[int], Awaitable[None]],
        tamper: Tamper,
        stored: PostgresStoredChain,
    ) -> None:
        for _ in range(3):
            await append(4)
            await checkpointer.sign()
        tamper("UPDATE events SET data = '{}' WHERE position = 6", CHAIN_OLD_EVENTS)
        assert (await Verifier(stored, NoCheckpoints()).verify()).verified, "the chain alone can not tell"
        found = await verifier.verify()
        assert (found.verified, found.first_bad_position) == (False, 5)
        assert "events from 5 on were rewritten" in (found.reason or "")

    async def test_a_cut_off_end_shows(
        self,
        verifier: Verifier,
        checkpointer: Checkpointer,
        append: Callable[[int], Awaitable[None]],
        tamper: Tamper,
    ) -> None:
        await append(6)
        await checkpointer.sign()
        tamper("DELETE FROM events WHERE position > 4")
        found = await verifier.verify()
        assert (found.verified, found.first_bad_position, found.checked) == (False, 5, 4)

    async def test_a_forged_checkpoint_shows(
        self,
        verifier: Verifier,
        checkpointer: Checkpointer,
        append: Callable[[int], Awaitable[None]],
        tmp_path: Path,
    ) -> None:
        await append(1)
        await checkpointer.sign()
        path = tmp_path / CHECKPOINTS_FILE
        path.write_text(path.read_text().replace('"position":1', '"position":2'))
        found = await verifier.verify()
        assert (found.verified, found.first_bad_position) == (False, None)
        assert "was not signed with this node's key" in (found.reason or "")
        path.write_text("nonsense\n")
        assert "damaged" in ((await verifier.verify()).reason or "")

    async def test_the_key_is_its_owners_alone_and_stays(
        self, checkpointer: Checkpointer, append: Callable[[int], Awaitable[None]], tmp_path: Path
    ) -> None:
        await append(1)
        await checkpointer.sign()
        key = (tmp_path / KEY_FILE).read_bytes()
        assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
        await append(1)
        await checkpointer.sign()
        assert (tmp_path / KEY_FILE).read_bytes() == key


async def test_verifying_while_events_are_appended(
    verifier: Verifier, append: Callable[[int], Awaitable[None]]
) -> None:
    await append(EVENTS)
    appending = asyncio.create_task(append(50))
    while not appending.done():
        found = await verifier.verify()
        assert found.verified
        assert found.checked >= EVENTS
    await appending


async def test_sql_and_python_agree_on_any_text(postgres_server: PostgresServer, database_name: str) -> None:
    moment = datetime(1969, 7, 20, 20, 17, 40, 123457, UTC)
    texts = ("T" * 300, "Ü", "🙂\n\\E'", '{"a": "\\u0000"}', "")
    arguments = (b"\0\xff", 2**62, str(uuid.uuid4()), 7, moment, *texts)
    with postgres_server.connect(database=database_name) as connection:
        query = "SELECT event_link(%s, %s, %s::uuid, %s, %s, %s, %s, %s, %s, %s)"
        row = connection.execute(query, arguments).fetchone()
    assert row == (chain.link(arguments[0], arguments[1:]),)
