"""The `flext` command: what it offers and its exit codes. What a command needs is imported when it runs.

Exit codes: 0 all is well, 1 a wrong call or setting, 2 a service is not healthy or gave no answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flexcore_client.errors import ClientError, InputError

USAGE_ERROR = 1
NOT_HEALTHY = 2
UNAUTHORIZED = 401
LOG_IN = "Log in with the right password (flext login), or give a valid token (FLEXCORE_TOKEN)."

directory = click.Path(file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
form = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
targets_option = click.option("--targets", "targets_file", type=file, help="YAML file with the services.")


def main() -> None:
    """Run the command and turn every error into one line on standard error and an exit code."""
    try:
        sys.exit(flext.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE_ERROR)
    except InputError as error:
        click.echo(f"flext: {error}", err=True)
        sys.exit(USAGE_ERROR)
    except ClientError as error:
        said = str(error)
        if error.http_status == UNAUTHORIZED:
            # The client names the option of a module, which no command has.
            said = said.replace(error.next_step, LOG_IN)
        click.echo(f"flext: {said}", err=True)
        sys.exit(NOT_HEALTHY)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flexcore")
def flext() -> None:
    """Look after FlexCore and the services it uses."""


@flext.command()
@click.argument("url", required=False)
@click.option("--username", envvar="FLEXCORE_USERNAME", prompt=True, help="Who; FLEXCORE_USERNAME by default.")
def login(url: str | None, username: str) -> int:
    """Log in at the FlexCore at URL, for the commands that come after.

    Without URL it is the FlexCore at FLEXCORE_URL, or on this machine. The password is asked for, or taken from
    FLEXCORE_PASSWORD. Only the session's token is kept, in a file that nobody else can read, until it expires.
    """
    from .login import log_in

    return log_in(url, username)


@flext.command()
@click.argument("url", required=False)
def logout(url: str | None) -> int:
    """End the sessions of whoever is logged in at URL, on all nodes."""
    from .login import log_out

    return log_out(url)


@flext.group()
def service() -> None:
    """Services: FlexCore, PostgreSQL and Redis."""


@service.command()
@click.option("--target", "targets", multiple=True, metavar="[NAME=]URL", help="A service to check; may be repeated.")
@targets_option
@form
@click.option("--timeout", type=click.FloatRange(min=0.1), help="Seconds for each service.  [default: 5]")
@click.option("--record", type=directory, help="Keep a history in this directory and print only changes of state.")
def health(
    targets: tuple[str, ...], targets_file: Path | None, form: str, timeout: float | None, record: Path | None
) -> int:
    """Check services and say how they are.

    Without a target it asks the FlexCore at FLEXCORE_URL, or on this machine. An address is http://host:port or
    https://host:port for FlexCore, postgresql://host:port or redis://host:port. Exit code 0 means that all are
    healthy, 2 that one is not. With --record the exit code is 0 when the check itself ran.
    """
    from .health import check_health

    return check_health(targets, targets_file, form, timeout, record)


@service.command()
@click.argument("name", default="flexcore", required=False)
@targets_option
@click.option("--lines", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many records.")
@click.option("--level", type=click.Choice(["debug", "info", "warning", "error", "critical"]), help="The least level.")
@click.option("--since", help="RFC 3339 time, or how long ago, such as 15m.")
@form
def logs(name: str, targets_file: Path | None, lines: int, level: str | None, since: str | None, form: str) -> int:
    """Show the log of the FlexCore called NAME, newest last."""
    from .logs import show_logs

    return show_logs(name, targets_file, lines, level, since, form)


@flext.group()
def plugin() -> None:
    """Plugins of a FlexCore."""


@plugin.command(name="list")
@targets_option
@form
def list_plugins(targets_file: Path | None, form: str) -> int:
    """List the plugins."""
    from .plugins import show_plugins

    return show_plugins(targets_file, form)


@plugin.command()
@click.argument("plugin_id")
@targets_option
@form
def info(plugin_id: str, targets_file: Path | None, form: str) -> int:
    """Show one plugin."""
    from .plugins import show_plugin

    return show_plugin(plugin_id, targets_file, form)
