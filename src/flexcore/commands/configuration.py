"""`flexcore check-config`."""

from pathlib import Path

import click

from flexcore.commands.configured import config_option, load_configuration


@click.command("check-config")
@config_option
def check_config(path: Path | None) -> None:
    """Check the settings and print each with its source, secrets as ***.

    A secret that only the service's unit can read is shown as not set; that is no error here.
    """
    for line in load_configuration(path, required=()).lines():
        click.echo(line)
