"""The commands that ask or change the database beside the server: migrate, projections, events, audit."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from flexcore import maintenance
from flexcore.application.read_models.catalogue import PROJECTIONS
from flexcore.application.verification import Verification
from flexcore.commands.configuration import config_option, fail, load_configuration
from flexcore.domain.errors import FlexCoreError, InvalidInput
from flexcore.settings import Settings

_PROGRESS_SECONDS: Final = 2.0

_first_option = click.option(
    "--from", "first", type=click.IntRange(min=1), default=1, show_default=True, help="First position."
)
_last_option = click.option("--to", "last", type=click.IntRange(min=1), help="Last position; the end by default.")


@click.command()
@config_option
def migrate(path: Path | None) -> None:
    """Bring the database schema to this release's version, as the owner role."""
    configuration = load_configuration(path, required=("postgres.owner_password",))
    try:
        report = maintenance.migrate(configuration.settings)
    except FlexCoreError as error:
        fail(str(error), os.EX_UNAVAILABLE)
    if report.before == report.after:
        click.echo(f"the schema is at revision {report.after} already")
    else:
        click.echo(f"the schema went from revision {report.before or 'none'} to {report.after}")


@click.group()
def projections() -> None:
    """Look after the read models, which are made from the event log."""


@projections.command("list")
@config_option
def list_projections(path: Path | None) -> None:
    """Show every read model with the event it has reached."""
    configuration = load_configuration(path, required=("postgres.password",))
    try:
        generations, head = maintenance.list_projections(configuration.settings)
    except FlexCoreError as error:
        fail(str(error), os.EX_UNAVAILABLE)
    click.echo(f"{'NAME':<20}{'STATUS':<10}{'VERSION':>7}{'POSITION':>14}{'BEHIND':>12}  PROBLEM")
    for found in generations:
        behind = max(head - found.position, 0)
        line = f"{found.name:<20}{found.status:<10}{found.version:>7}{found.position:>14}{behind:>12}"
        click.echo(f"{line}  {found.failure}" if found.failure else line)


@projections.command("rebuild")
@click.argument("name", type=click.Choice(sorted(PROJECTIONS)))
@config_option
def rebuild_projection(name: str, path: Path | None) -> None:
    """Build a read model anew from the whole log; the old one answers until the new one takes over."""
    configuration = load_configuration(path, required=("postgres.password",))
    started = last = time.monotonic()

    def progress(position: int, head: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_SECONDS:
            last = time.monotonic()
            click.echo(f"event {position} of {max(head, position)}", err=True)

    try:
        position = maintenance.rebuild_projection(configuration.settings, name, progress)
    except FlexCoreError as error:
        fail(str(error), os.EX_UNAVAILABLE)
    click.echo(f"{name} was rebuilt from {position} events in {time.monotonic() - started:.1f} s")


@click.group()
def events() -> None:
    """Look after the event log."""


@events.command("verify")
@config_option
@_first_option
@_last_option
def verify_events(path: Path | None, first: int, last: int | None) -> None:
    """Recompute the chain of hashes and compare it with this node's signed checkpoints.

    Exits with 0 if nobody changed the log, 1 if somebody did, 69 if it can't be read.
    """
    settings = load_configuration(path, required=("postgres.password",)).settings
    found = _verification(maintenance.verify_events, settings, first, last)
    compared = f"{found.checked} events checked, {found.checkpoints} signed checkpoints compared"
    if found.verified and settings.state_directory is None:
        compared += "; no state_directory is set, so a rewritten chain would not show"
    _tell(found, compared)


@click.group()
def audit() -> None:
    """Look after the audit trail."""


@audit.command("verify")
@config_option
@_first_option
@_last_option
def verify_audit(path: Path | None, first: int, last: int | None) -> None:
    """Recompute the chain of hashes of the audit trail.

    Exits with 0 if nobody changed a record, 1 if somebody did, 69 if the trail can't be read. The end of this chain is
    not signed: it does not show that the newest records were cut off, or that all from one on were written anew.
    """
    settings = load_configuration(path, required=("postgres.password",)).settings
    found = _verification(maintenance.verify_audit, settings, first, last)
    _tell(found, f"{found.checked} records checked")


def _verification(
    verify: Callable[[Settings, int, int | None], Verification], settings: Settings, first: int, last: int | None
) -> Verification:
    try:
        return verify(settings, first, last)
    except InvalidInput as error:
        fail(str(error), os.EX_USAGE)
    except FlexCoreError as error:
        fail(str(error), os.EX_UNAVAILABLE)


def _tell(found: Verification, checked: str) -> None:
    """Say what was found; ends the process with status 1 if somebody changed something."""
    if found.verified:
        click.echo(f"verified: {checked}")
        return
    click.echo(f"NOT VERIFIED, first bad position {found.first_bad_position or 'unknown'}: {found.reason}; {checked}")
    sys.exit(1)
