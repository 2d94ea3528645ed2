"""The peer pyeventsourcing: its PostgreSQL recorder alone, without the layers above that cost it more."""

from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from tests.bench.appending import Measured, append_in_threads
from tests.bench.events import STREAMS, event_type, payload
from tests.servers import PostgresServer

DATABASE = "pyeventsourcing"
_TABLE = "stored_events"


def measure(server: PostgresServer, *, threads: int, batch: int = 1) -> Measured:
    """Append to an empty table with its own database functions, which are the fastest it has."""
    login = server.login("postgres", DATABASE)
    with server.connect(database=DATABASE) as connection:
        connection.execute(psycopg.sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(psycopg.sql.Identifier(_TABLE)))
    datastore = PostgresDatastore(
        dbname=login.database,
        host=login.host,
        port=login.port,
        user=login.user,
        password=login.password,
        pool_size=threads,
        enable_db_functions=True,
    )
    try:
        recorder = PostgresApplicationRecorder(datastore, events_table_name=_TABLE)
        recorder.create_table()
        streams = [[_Stream() for _ in range(STREAMS)] for _ in range(threads)]

        def append(writer: int, turn: int) -> None:
            recorder.insert_events(streams[writer][turn % STREAMS].next(batch, turn))

        return append_in_threads(threads, append, events=batch)
    finally:
        datastore.close()


class _Stream:
    """One aggregate of one writer, with the version that its next event must have."""

    def __init__(self) -> None:
        self._id: UUID = uuid4()
        self._version = 0

    def next(self, count: int, turn: int) -> list[StoredEvent]:
        events = [
            StoredEvent(
                originator_id=self._id,
                originator_version=self._version + offset,
                topic=event_type(turn + offset),
                state=msgspec.json.encode(payload(turn + offset)),
            )
            for offset in range(count)
        ]
        self._version += count
        return events
