"""Receipts through the port Receipts."""

from typing import Final

import msgspec

from flexcore.application.ports import Receipt
from flexcore.infrastructure.postgres.database import Database

_FIND: Final = "SELECT fingerprint, answer FROM receipts WHERE key = $1"


class PostgresReceipts:
    """Reads what appends have left."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: str) -> Receipt | None:
        """Return the receipt with this key; raises Unavailable."""
        async with self._database.session() as connection:
            row = await connection.fetchrow(_FIND, key)
        return None if row is None else Receipt(key, row["fingerprint"], msgspec.json.decode(row["answer"]))
