"""`flexcore serve`."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from flexcore import main
from flexcore.commands.configuration import config_option, fail, load_configuration
from flexcore.infrastructure.plugin_runtime import SandboxTooWeak
from flexcore.presentation.http.server import ListenError

_SECRETS: Final = ("auth.token", "postgres.password")


@click.command()
@config_option
def serve(path: Path | None) -> None:
    """Serve until SIGTERM; a second SIGTERM does not wait for running executions."""
    configuration = load_configuration(path, required=_SECRETS)
    try:
        sys.exit(main.serve(configuration))
    except ListenError as error:
        fail(str(error), os.EX_UNAVAILABLE)
    except SandboxTooWeak as error:
        fail(str(error), os.EX_CONFIG)
