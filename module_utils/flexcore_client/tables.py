"""Tables for people, drawn with rich, which is imported only when there is one to draw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO

STYLE_OF_STATUS = {"HEALTHY": "green", "DEGRADED": "yellow", "UNHEALTHY": "bold red", "UNKNOWN": "magenta"}
# Wide enough never to wrap: a pipe has no width, and a cause cut in half helps nobody.
UNBOUNDED = 2000


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], file: IO[str] | None = None) -> None:
    """Print a table; cells that are a health status are coloured where the output is a terminal that wants colour."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else UNBOUNDED)
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLE_OF_STATUS.get(cell, "")) for cell in row))
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()), file=out)
