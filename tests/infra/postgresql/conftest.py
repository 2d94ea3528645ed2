"""What the PostgreSQL host under test says about its server."""

from typing import Any

import pytest

from tests.infra.node import Node


@pytest.fixture
def server(node: Node) -> dict[str, Any]:
    """The server's own account of its state, asked once over the local socket."""
    return node.probe(
        "postgresql_server",
        user="postgres",
        port=node.variables["postgresql_port"],
        database=node.variables["flexcore_postgresql_database"],
        role=node.variables["flexcore_postgresql_user"],
    )
