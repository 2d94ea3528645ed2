"""The peer message-db: its SQL from npm, pinned and checked, through asyncpg on uvloop."""

import base64
import contextlib
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec

from tests.bench.appending import Measured, append_for, on_uvloop
from tests.bench.events import STREAMS, event_type, payload
from tests.servers import PostgresServer

DATABASE = "message_store"
VERSION = "1.3.1"
_INTEGRITY = "n3hdE5YAZNXTr2HK9gG0GJ6dusgdE544LTvS+21/yOEHBvNuUzNmXXw5vS05vpe6RSuhzTRy5Wg0q7c1VfJg+A=="  # SHA-512
_BUILD = Path(__file__).resolve().parents[2] / "build"
# In the order of its install.sh, without the views and the privileges, which no append meets.
_PARTS = (
    "roles/message-store.sql",
    "schema/message-store.sql",
    "extensions/pgcrypto.sql",
    "tables/messages.sql",
    "types/message.sql",
    "functions/*.sql",
    "indexes/*.sql",
)
_WRITE = "SELECT message_store.write_message($1, $2, $3, $4::jsonb, NULL, $5)"


def install(server: PostgresServer) -> None:
    """Make its database as its own scripts do."""
    server.create_database(DATABASE)
    with tempfile.TemporaryDirectory() as directory, server.connect(database=DATABASE) as connection:
        with tarfile.open(_package()) as package:
            package.extractall(directory, filter="data")
        scripts = Path(directory) / "package" / "database"
        connection.execute("SET search_path = message_store, public")
        for part in _PARTS:
            for script in sorted(scripts.glob(part)):
                connection.execute(script.read_bytes())


def measure(server: PostgresServer, *, writers: int, connections: int) -> Measured:
    """Append single events to an empty table, each writer to a category of its own.

    A category is what message-db locks, so this is its best case; it then keeps no order between categories.
    """
    return on_uvloop(_measure(server, writers, connections))


async def _measure(server: PostgresServer, writers: int, connections: int) -> Measured:
    async with _pool(server, connections) as pool:
        await pool.execute("TRUNCATE messages RESTART IDENTITY")
        versions = [[-1] * STREAMS for _ in range(writers)]

        async def append(writer: int, turn: int) -> None:
            stream = turn % STREAMS
            await pool.execute(
                _WRITE,
                str(uuid.uuid4()),
                f"pipeline{writer}-{stream}",
                event_type(turn),
                msgspec.json.encode(payload(turn)).decode(),
                versions[writer][stream],
            )
            versions[writer][stream] += 1

        return await append_for(writers, append)


@contextlib.asynccontextmanager
async def _pool(server: PostgresServer, connections: int) -> AsyncIterator[asyncpg.Pool]:
    login = server.login("postgres", DATABASE)
    async with asyncpg.create_pool(
        host=login.host,
        port=login.port,
        user=login.user,
        password=login.password,
        database=login.database,
        min_size=connections,
        max_size=connections,
        server_settings={"search_path": "message_store, public"},
    ) as pool:
        yield pool


def _package() -> Path:
    """Fetch the package once, from where npm is configured to; raises RuntimeError when it is not what was pinned."""
    package = _BUILD / f"eventide-message-db-{VERSION}.tgz"
    if not package.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the benchmark needs npm: apt-get install npm")
        _BUILD.mkdir(exist_ok=True)
        command = [npm, "pack", "--silent", f"@eventide/message-db@{VERSION}"]
        done = subprocess.run(command, cwd=_BUILD, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(f"npm could not fetch message-db {VERSION}: {done.stderr.strip()[-500:]}")
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != _INTEGRITY:
        package.unlink()
        raise RuntimeError(f"{package.name} is not the pinned package: its SHA-512 is {found}; it was deleted")
    return package
