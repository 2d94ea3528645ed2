"""The command reference from the commands' own declarations, and the playbooks' from their opening comments."""

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from docs.generate.markdown import NOTICE, page, table


def reference(programs: dict[str, click.Group]) -> str:
    """Write the page of all commands."""
    blocks = [NOTICE.format(source="the commands' declarations"), "# Commands"]
    for name, program in sorted(programs.items()):
        blocks.extend(_command(name, program))
    return page(*blocks)


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield f"## {name}"
    context = click.Context(command, info_name=name)
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield inspect.cleandoc(command.help or "")
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    rows = [record for option in options if (record := option.get_help_record(context))]
    if rows:
        yield table(("Option", "Meaning"), ((f"`{option}`", meaning) for option, meaning in rows))
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command(f"{name} {inner}", found)


def playbooks(files: list[Path]) -> str:
    """Write the page of all playbooks."""
    blocks = [NOTICE.format(source="the playbooks' opening comments"), "# Playbooks"]
    for file in files:
        comment = []
        for line in file.read_text().splitlines()[1:]:
            if not line.startswith("#"):
                break
            comment.append(line.removeprefix("#").removeprefix(" "))
        words, _, example = "\n".join(comment).partition("\n\n")
        blocks.extend((f"## {file.name}", words, f"```text\n{textwrap.dedent(example)}\n```" if example else ""))
    return page(*blocks)
