"""What others wrote is printed on one line, bounded, and cannot write to a terminal what it likes."""

from __future__ import annotations

import pytest
from flexcore_client.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain", "plain"),
        ("  several\r\n\tlines \x00", "several lines"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\u202egnitirw", "gnitirw"),
        ("größer", "größer"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
    ],
)
def test_text_of_others_is_one_bounded_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_bound_is_what_the_caller_says() -> None:
    assert printable("123456", 5) == "1234…"
