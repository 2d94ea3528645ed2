"""The `flexcore` command: what runs a node, and what its operators look after it with."""

import logging
import pkgutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import click

_COMMANDS: Final[Mapping[str, str]] = {
    "audit": "flexcore.commands.database:audit",
    "check-config": "flexcore.commands.configuration:check_config",
    "events": "flexcore.commands.database:events",
    "marketplace": "flexcore.commands.authoring:marketplace",
    "migrate": "flexcore.commands.database:migrate",
    "plugin": "flexcore.commands.authoring:plugin",
    "projections": "flexcore.commands.database:projections",
    "sandbox": "flexcore.commands.sandbox:become_sandbox",
    "serve": "flexcore.commands.serving:serve",
    "version": "flexcore.cli:print_version",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: the server's libraries take most of a second, and few need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        found: click.Command | None = pkgutil.resolve_name(place) if place is not None else None
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run and manage a FlexCore node."""
    # A command says itself what went wrong, in one line; the server sets up its own log.
    logging.getLogger("flexcore").addHandler(logging.NullHandler())


@click.command("version")
def print_version() -> None:
    """Print the version."""
    click.echo(version("flexcore"))
