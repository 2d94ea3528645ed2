"""The table of a read model, as the fields of its row class say it: one column each, beside the generation."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Generic, get_origin

import asyncpg
import msgspec

from flexcore.application.projections.projection import Projection, Row
from flexcore.infrastructure.postgres.database import Connection


class ReadModelTable(Generic[Row]):
    """Reads and writes rows of one class in the table `name`. The class's first field is the key.

    A field that is a list or a dictionary is a column of JSON, one that is a tuple an array.
    """

    def __init__(self, name: str, row: type[Row]) -> None:
        self.columns = tuple(field.name for field in fields(row))  # type: ignore[arg-type]  # rows are dataclasses
        self.list = ", ".join(self.columns)
        live = f"SELECT generation FROM projections WHERE name = '{name}' AND status = 'live'"  # noqa: S608 - names of ours
        self.live = f"{name} WHERE generation = ({live})"
        self._name = name
        self._row = row
        self._values = attrgetter(*self.columns)
        # Counted with the generation, which comes first in a record to write.
        self._json = [
            number
            for number, field in enumerate(fields(row), 1)  # type: ignore[arg-type]  # rows are dataclasses
            if get_origin(field.type) in (list, dict)
        ]
        key, *others = self.columns
        self._select = f"SELECT {self.list} FROM {name} WHERE generation = $1 AND {key} = ANY($2)"  # noqa: S608 - names of ours
        assignments = ", ".join(f"{column} = ${number}" for number, column in enumerate(others, 3))
        self._update = f"UPDATE {name} SET {assignments} WHERE generation = $1 AND {key} = $2"  # noqa: S608 - likewise

    async def read(self, connection: Connection, generation: int, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the rows that exist, by key."""
        found = await connection.fetch(self._select, generation, list(keys))
        return {record[0]: self.of(record) for record in found}

    async def insert(self, connection: Connection, generation: int, rows: Mapping[str, Row]) -> None:
        """Write rows that are not there yet."""
        await connection.copy_records_to_table(
            self._name,
            records=self._records(generation, rows),
            columns=("generation", *self.columns),
        )

    async def update(self, connection: Connection, generation: int, rows: Mapping[str, Row]) -> None:
        """Overwrite rows that are there."""
        await connection.executemany(self._update, self._records(generation, rows))

    @staticmethod
    async def delete_from(connection: Connection, name: str, generation: int, limit: int) -> int:
        """Delete up to `limit` rows of a generation of the table `name` and return how many there were."""
        gone: str = await connection.execute(
            f"DELETE FROM {name} WHERE ctid = ANY(ARRAY("  # noqa: S608 - likewise
            f"SELECT ctid FROM {name} WHERE generation = $1 LIMIT $2))",
            generation,
            limit,
        )
        return int(gone.rpartition(" ")[2])

    def of(self, record: asyncpg.Record) -> Row:
        """Build a row from a record of all columns."""
        if not self._json:
            return self._row(*record)
        values = list(record)
        for number in self._json:
            values[number - 1] = msgspec.json.decode(values[number - 1])
        return self._row(*values)

    def _records(self, generation: int, rows: Mapping[str, Row]) -> list[tuple[Any, ...]]:
        if not self._json:
            return [(generation, *self._values(row)) for row in rows.values()]
        records = []
        for row in rows.values():
            values = [generation, *self._values(row)]
            for number in self._json:
                values[number] = msgspec.json.encode(values[number]).decode()
            records.append(tuple(values))
        return records


def table_of(projection: Projection[Row]) -> ReadModelTable[Row]:
    """Return the table of a projection, made once."""
    return _made(projection.name, projection.row)  # type: ignore[arg-type]  # classes are hashable


@cache
def _made(name: str, row: type[Any]) -> ReadModelTable[Any]:
    return ReadModelTable(name, row)
