"""What stands between jobs and their handlers."""

import pytest

from flexcore.application.jobs import Tasks
from flexcore.infrastructure.jobs.connector import numbered


async def handle(arguments: object) -> None:
    """Do nothing."""


def test_a_task_has_one_handler() -> None:
    tasks = Tasks()
    tasks.register("count", handle)
    assert tasks.handlers == {"count": handle}
    with pytest.raises(ValueError, match="'count' is registered already"):
        tasks.register("count", handle)


def test_named_placeholders_become_numbers() -> None:
    query = "SELECT f(%(b)s, %(a)s) WHERE x = %(b)s::text AND y = '%'"
    assert numbered(query) == ("SELECT f($1, $2) WHERE x = $1::text AND y = '%'", ("b", "a"))
