"""The README's table of commands is the Makefile's."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_lists_every_documented_target() -> None:
    documented = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = set(re.findall(r"^\| `make ([a-z]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == documented
