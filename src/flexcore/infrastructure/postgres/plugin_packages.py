"""The packages of the installation, in pieces, through the port PackageStore.

A package is written piece by piece, and counts once its row is there. The server's role may add and read, no more;
whoever reads a package checks that it is what its digest says.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Final

from flexcore.application.plugin_packages import PackageFile
from flexcore.domain.errors import Conflict, NotFound
from flexcore.infrastructure.postgres.database import Database

PIECE_BYTES: Final = 1 << 20

_IS_THERE: Final = "SELECT true FROM plugin_packages WHERE digest = $1"
_PIECES: Final = "SELECT pieces FROM plugin_packages WHERE digest = $1"
_PIECE: Final = "SELECT content FROM plugin_package_pieces WHERE digest = $1 AND number = $2"
_ADD_PIECE: Final = """
INSERT INTO plugin_package_pieces (digest, number, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_ADD: Final = """
INSERT INTO plugin_packages (digest, plugin_id, version, size, pieces) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""


class PostgresPackageStore:
    """Each piece goes in a session of its own, so that no package holds up others for long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, package: PackageFile) -> None:
        """Keep a package; nothing happens if it is there. Raises Unavailable."""
        digest = bytes.fromhex(package.digest)
        async with self._database.session() as connection:
            if await connection.fetchval(_IS_THERE, digest):
                return
        number = 0
        with package.path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                async with self._database.session() as connection:
                    await connection.execute(_ADD_PIECE, digest, number, piece)
                number += 1
        manifest = package.manifest
        async with self._database.session() as connection:
            await connection.execute(_ADD, digest, manifest.id, manifest.version, package.size, number)

    async def fetch(self, digest: str, into: Path) -> None:
        """Write a package to the file `into`; raises NotFound, Conflict if it has another digest, Unavailable."""
        key = bytes.fromhex(digest)
        async with self._database.session() as connection:
            pieces = await connection.fetchval(_PIECES, key)
        if pieces is None:
            raise NotFound(f"the database has no package {digest}")
        hashed = hashlib.sha256()
        with into.open("xb") as file:
            for number in range(pieces):
                async with self._database.session() as connection:
                    piece = await connection.fetchval(_PIECE, key, number) or b""
                hashed.update(piece)
                await asyncio.to_thread(file.write, piece)
        if hashed.digest() != key:
            raise Conflict(f"package {digest} in the database is damaged: it has another SHA-256; install it anew")
