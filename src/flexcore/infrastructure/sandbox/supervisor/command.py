"""The command `flexcore sandbox`."""

import logging
import os
import pwd
import sys
from pathlib import Path

import click

from flexcore.infrastructure.sandbox.supervisor import service
from flexcore.infrastructure.sandbox.supervisor.supervisor import IdleLimits


@click.command()
@click.option("--listen", type=click.Path(path_type=Path), help="Listen on a unix socket at this path.")
@click.option("--fd", "descriptor", type=click.IntRange(min=3), help="Serve the connection at this descriptor instead.")
@click.option("--allow-user", "users", multiple=True, help="A user (name or id) who may connect; by default our own.")
@click.option("--keep", type=click.IntRange(min=1), default=32, show_default=True, help="Idle fork servers to keep.")
@click.option("--keep-seconds", type=float, default=3600.0, show_default=True, help="How long to keep an idle one.")
def sandbox(
    listen: Path | None, descriptor: int | None, users: tuple[str, ...], keep: int, keep_seconds: float
) -> None:
    """Start plugins' executions for a server, each confined, until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    idle = IdleLimits(keep, keep_seconds)
    try:
        if descriptor is not None and listen is None:
            service.serve_inherited(descriptor, idle=idle)
        elif listen is not None and descriptor is None:
            service.serve_listening(listen, allowed_users=_ids(users), idle=idle)
        else:
            raise click.UsageError("Give either --listen or --fd.")
    except (OSError, KeyError) as error:
        click.echo(f"flexcore: the sandbox can't start: {error}", err=True)
        sys.exit(os.EX_UNAVAILABLE)


def _ids(users: tuple[str, ...]) -> set[int]:
    return {int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid for user in users} or {os.geteuid()}
