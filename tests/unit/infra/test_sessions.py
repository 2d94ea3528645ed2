"""The room in PostgreSQL that the verification asks for is what a node can take."""

import inspect

from flexcore.infrastructure.jobs import engine
from flexcore.infrastructure.postgres import read_model_maintenance as maintenance
from flexcore.infrastructure.postgres.database import Database
from tests.infra.contract import SESSIONS_OF_A_NODE

# The listener's connection, and the one that the probe opens each time.
SINGLE = 2


def test_a_nodes_sessions_and_a_commands_are_counted() -> None:
    requests = inspect.signature(Database).parameters["connections"].default
    pools = (requests, engine.CONNECTIONS)
    # Each pool keeps one more for the probe. A command beside the server has a small pool of its own.
    assert sum(pools) + len(pools) + SINGLE + maintenance.CONNECTIONS <= SESSIONS_OF_A_NODE
