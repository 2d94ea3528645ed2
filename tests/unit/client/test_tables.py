"""A table is coloured and as wide as the terminal on a terminal, and anything else gets each row on one line."""

from __future__ import annotations

import io

import pytest
from flexcore_client.tables import print_table

COLUMNS = ("SERVICE", "STATUS", "CAUSE")
CAUSE = "the disk of this node is full"
ROWS = [["flexcore", "DEGRADED", CAUSE], ["redis", "HEALTHY", ""]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns that can show colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")


def test_a_pipe_gets_a_row_on_each_line_without_colours() -> None:
    out = io.StringIO()
    print_table(COLUMNS, [["flexcore", "DEGRADED", f"{CAUSE}, " * 40], *ROWS[1:]], out)
    assert out.getvalue().splitlines() == [
        "SERVICE   STATUS    CAUSE",
        "flexcore  DEGRADED  " + f"{CAUSE}, " * 39 + f"{CAUSE},",
        "redis     HEALTHY",
    ]


def test_a_terminal_gets_a_status_in_its_colour_and_long_cells_on_several_lines() -> None:
    out = Terminal()
    print_table(COLUMNS, ROWS, out)
    assert out.getvalue().splitlines()[1:] == [
        "flexcore  \x1b[33mDEGRADED\x1b[0m  the disk of this",
        "                    node is full",
        "redis     \x1b[32mHEALTHY \x1b[0m",
    ]


def test_without_a_file_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS[1:])
    assert capsys.readouterr().out == "SERVICE  STATUS   CAUSE\nredis    HEALTHY\n"
