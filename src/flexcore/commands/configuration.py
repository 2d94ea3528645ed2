"""The configuration: `flexcore check-config` shows it, and the commands that need it read it here."""

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

from flexcore.configuration import Configuration, SettingsError, load

DEFAULT_CONFIG: Final = Path("/etc/flexcore/config.yaml")

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help=f"Configuration file; {DEFAULT_CONFIG} if it is there.",
)


def load_configuration(path: Path | None, required: tuple[str, ...]) -> Configuration:
    """Load the configuration, from the usual place if there is one; ends the process if something is wrong with it."""
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    try:
        return load(path, os.environ, required=required)
    except SettingsError as error:
        fail(str(error), os.EX_CONFIG)


def fail(message: str, code: int) -> NoReturn:
    """End the process with one line for who called it."""
    click.echo(f"flexcore: {message}", err=True)
    sys.exit(code)


@click.command("check-config")
@config_option
def check_config(path: Path | None) -> None:
    """Check the settings and print each with its source, secrets as ***.

    A secret that only the service's unit can read is shown as not set; that is no error here.
    """
    for line in load_configuration(path, required=()).lines():
        click.echo(line)
