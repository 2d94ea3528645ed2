"""A command loads what it needs, and the server's libraries only where they are needed."""

import subprocess
import sys

import click
import pytest

from flexcore.cli import main

SERVER = {"alembic", "asyncpg", "procrastinate", "redis", "starlette", "uvicorn"}
LOADED = """
import sys
from flexcore.cli import main
main(sys.argv[1:], standalone_mode=False)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    "arguments", [["version"], ["plugin", "--help"], ["check-config", "--help"], ["sandbox", "--help"]]
)
def test_what_needs_no_server_loads_none(arguments: list[str]) -> None:
    run = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    assert not SERVER & set(run.stdout.splitlines()[-1].split())


def test_every_command_is_where_it_is_said_to_be() -> None:
    context = click.Context(main)
    assert {name: found.name for name in main.list_commands(context) if (found := main.get_command(context, name))} == {
        name: name for name in main.list_commands(context)
    }
