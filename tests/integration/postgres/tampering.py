"""Changes to the event log behind its back, as only a superuser can make them, and the way back."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql

_REWRITE = """
UPDATE events SET hash = event_link(
    %s, position, id, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata
) WHERE position = %s
"""

Connection = psycopg.Connection[tuple[Any, ...]]
Tamper = Callable[..., None]
"""Runs the statements it is given as a superuser who passes by the triggers."""
_FORGED = "('\\x' || repeat('00', 32))::bytea"
# How to make the value of each column another one that its type and the table's constraints allow.
_OTHERWISE = {
    "id": "gen_random_uuid()",
    "type": "type || 'x'",
    "aggregate_type": "aggregate_type || 'x'",
    "aggregate_id": "aggregate_id || 'x'",
    "version": "version + 1000000",
    "data": "data || ' '",
    "metadata": "metadata || ' '",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "hash": _FORGED,
}


def change(column: str) -> Callable[[Connection, int], None]:
    """Change one column of the event at a position."""

    def tamper(connection: Connection, position: int) -> None:
        statement = sql.SQL("UPDATE events SET {} = {} WHERE position = %s")
        connection.execute(statement.format(sql.Identifier(column), sql.SQL(_OTHERWISE[column])), (position,))

    tamper.__name__ = f"change_{column}"
    return tamper


def remove(connection: Connection, position: int) -> None:
    """Remove the event at a position and leave the gap."""
    connection.execute("DELETE FROM events WHERE position = %s", (position,))


def remove_and_close_up(connection: Connection, position: int) -> None:
    """Remove the event at a position and let the later ones move up."""
    remove(connection, position)
    _move(connection, position + 1, -1)


def insert(connection: Connection, position: int) -> None:
    """Put a copy of the event at a position in before it, with an id and a stream of its own."""
    _move(connection, position, 1)
    connection.execute(
        """
        INSERT INTO events
            (position, id, type, aggregate_type, aggregate_id, version, data, metadata, recorded_at, hash)
        SELECT position - 1, gen_random_uuid(), type, 'Forged', gen_random_uuid(), 1, data, metadata, recorded_at, hash
        FROM events WHERE position = %s
        """,
        (position + 1,),
    )


def swap_with_next(connection: Connection, position: int) -> None:
    """Let the event at a position and the one after it change places."""
    for before, after in ((position, 0), (position + 1, position), (0, position + 1)):
        connection.execute("UPDATE events SET position = %s WHERE position = %s", (after or 10**12, before or 10**12))


def cut_off_from(connection: Connection, position: int) -> None:
    """Remove the event at a position and all after it."""
    connection.execute("DELETE FROM events WHERE position >= %s", (position,))


def rewrite_from(connection: Connection, position: int) -> None:
    """Change the event at a position and compute the hashes from there on anew, as who knows how can do it."""
    change("data")(connection, position)
    link = connection.execute("SELECT hash FROM events WHERE position = %s", (position - 1,)).fetchone()
    previous = link[0] if link else b""
    for (each,) in connection.execute(
        "SELECT position FROM events WHERE position >= %s ORDER BY 1", (position,)
    ).fetchall():
        connection.execute(_REWRITE, (previous, each))
        (previous,) = connection.execute("SELECT hash FROM events WHERE position = %s", (each,)).fetchone() or (b"",)


TAMPERINGS = [*(change(column) for column in _OTHERWISE), remove, remove_and_close_up, insert, swap_with_next]
NOT_AT_THE_END = (remove, remove_and_close_up, swap_with_next)


@contextlib.contextmanager
def tampered(connection: Connection) -> Iterator[None]:
    """Lend the events table to whatever is done in the block, and bring it back to what it was."""
    connection.execute("SET session_replication_role = replica")  # past the triggers; only a superuser can do this
    connection.execute("CREATE TEMPORARY TABLE kept AS TABLE events")
    try:
        yield
    finally:
        connection.execute("TRUNCATE events")
        connection.execute("INSERT INTO events SELECT * FROM kept")
        connection.execute("DROP TABLE kept")


def _move(connection: Connection, first: int, by: int) -> None:
    # In two steps, so that no two events are ever at one position.
    connection.execute("UPDATE events SET position = position + 1000000 WHERE position >= %s", (first,))
    connection.execute("UPDATE events SET position = position - 1000000 + %s WHERE position >= 1000000", (by,))
