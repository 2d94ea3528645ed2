"""Who may: on real servers, with the environment of the server's own tests."""

from collections.abc import AsyncIterator

import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from tests.integration.server.conftest import api, checked, environ, flexcore

__all__ = ["api", "checked", "environ", "flexcore"]


@pytest.fixture
async def database(runtime_access: PostgresAccess) -> AsyncIterator[Database]:
    """The runtime's connections, closed after the test."""
    database = Database(runtime_access, node_id="node1", connections=4)
    await database.connect()
    yield database
    await database.close()
