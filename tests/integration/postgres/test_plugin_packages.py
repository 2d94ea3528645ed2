"""Packages in the database: whole, checked, and never changed by the server's role."""

import hashlib
import os
from pathlib import Path

import asyncpg
import pytest

from flexcore.application.plugin_packages import PackageFile
from flexcore.domain.errors import Conflict, NotFound
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.plugin_packages import PIECE_BYTES, PostgresPackageStore
from tests.servers import PostgresServer
from tests.unit.application.doubles import manifest

pytestmark = pytest.mark.anyio


def package(tmp_path: Path, content: bytes) -> PackageFile:
    path = tmp_path / "package"
    path.write_bytes(content)
    return PackageFile(path, manifest("greeter"), hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("size", [1, PIECE_BYTES, 3 * PIECE_BYTES + 17])
async def test_what_was_put_is_fetched(database: Database, tmp_path: Path, size: int) -> None:
    store = PostgresPackageStore(database)
    sent = package(tmp_path, os.urandom(size))
    await store.put(sent)
    await store.put(sent)
    await store.fetch(sent.digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == sent.path.read_bytes()


async def test_a_package_that_was_half_written_is_completed(
    database: Database, postgres_server: PostgresServer, runtime_access: PostgresAccess, tmp_path: Path
) -> None:
    store = PostgresPackageStore(database)
    sent = package(tmp_path, os.urandom(3 * PIECE_BYTES))
    await store.put(sent)
    with postgres_server.connect(database=runtime_access.database) as connection:
        connection.execute("DELETE FROM plugin_packages")
        connection.execute("DELETE FROM plugin_package_pieces WHERE number = 1")
    with pytest.raises(NotFound):
        await store.fetch(sent.digest, tmp_path / "none")
    await store.put(sent)
    await store.fetch(sent.digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == sent.path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE plugin_package_pieces SET content = content || 'x'::bytea WHERE number = 0",
        "DELETE FROM plugin_package_pieces WHERE number = 1",
        "UPDATE plugin_packages SET pieces = 1",
    ],
)
async def test_a_package_that_was_changed_is_no_package(
    database: Database, postgres_server: PostgresServer, runtime_access: PostgresAccess, tmp_path: Path, change: str
) -> None:
    store = PostgresPackageStore(database)
    sent = package(tmp_path, os.urandom(2 * PIECE_BYTES))
    await store.put(sent)
    with postgres_server.connect(database=runtime_access.database) as connection:
        connection.execute(change)
    with pytest.raises(Conflict, match="another SHA-256"):
        await store.fetch(sent.digest, tmp_path / "copy")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE plugin_packages SET pieces = 1",
        "UPDATE plugin_package_pieces SET content = ''",
        "DELETE FROM plugin_packages",
        "DELETE FROM plugin_package_pieces",
        "TRUNCATE plugin_packages",
        "TRUNCATE plugin_package_pieces",
    ],
)
async def test_the_servers_role_changes_and_removes_none(database: Database, statement: str) -> None:
    async with database.session() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
