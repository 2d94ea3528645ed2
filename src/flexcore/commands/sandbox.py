"""`flexcore sandbox`."""

import os
import sys

import click

from flexcore.infrastructure.sandbox import supervisor
from flexcore.infrastructure.sandbox.supervisor.command import sandbox


@click.command("sandbox", params=sandbox.params, help=sandbox.help)
def become_sandbox(**_: object) -> None:
    """Become a process that knows nothing of the server, its database and its libraries."""
    program = (sys.executable, "-I", "-m", supervisor.__name__, *sys.argv[2:])
    os.execv(program[0], program)  # noqa: S606
