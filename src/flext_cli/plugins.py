"""`flext plugin list` and `flext plugin info`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from flexcore_client.client import FlexCoreClient
from flexcore_client.event_loop import run
from flexcore_client.models import PluginInfo
from flexcore_client.report_printer import PLUGIN_COLUMNS, plugin_cells
from flexcore_client.tables import print_table

from .targets import Selection, select

FOUND, NOT_FOUND = 0, 2


def show_plugins(targets_file: Path | None, form: str) -> int:
    """Print the plugins of the first FlexCore and return the exit code."""
    plugins = run(_plugins(select((), targets_file)))
    if form == "json":
        click.echo(json.dumps({"plugins": [plugin.to_dict() for plugin in plugins]}, indent=2))
    else:
        print_table(PLUGIN_COLUMNS[1:], [plugin_cells(plugin.to_dict())[1:] for plugin in plugins])
    return FOUND


def show_plugin(plugin_id: str, targets_file: Path | None, form: str) -> int:
    """Print one plugin and return the exit code."""
    plugin = run(_plugin(select((), targets_file), plugin_id))
    if plugin is None:
        click.echo(f"flext: there is no plugin {plugin_id!r}; see flext plugin list", err=True)
        return NOT_FOUND
    if form == "json":
        click.echo(json.dumps(plugin.to_dict(), indent=2))
    else:
        fields = plugin.to_dict()
        rows = [(name, _shown(value)) for name, value in {**fields, **fields.pop("details")}.items()]
        print_table(("FIELD", "VALUE"), rows)
    return FOUND


async def _plugins(selection: Selection) -> list[PluginInfo]:
    target = selection.flexcore()
    async with selection.transport(target) as transport:
        return await FlexCoreClient(target, transport).plugins()


async def _plugin(selection: Selection, plugin_id: str) -> PluginInfo | None:
    target = selection.flexcore()
    async with selection.transport(target) as transport:
        return await FlexCoreClient(target, transport).plugin(plugin_id)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
