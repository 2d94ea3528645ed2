"""The queue's schema in our migrations against the package that works on it."""

import re
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from flexcore.infrastructure.postgres import migrations

COPY = Path(migrations.__file__).with_name("procrastinate_3_10.sql")
# A new release of procrastinate: read its sql/migrations since this one, write a revision with what they change, and
# raise this number.
MIGRATED_TO = "3.10"


def statements(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip() and not re.match(r"\s*--", line))


def test_the_migrations_are_those_of_the_locked_release() -> None:
    assert version("procrastinate").startswith(MIGRATED_TO + ".")


def test_the_copy_is_the_schema_of_the_package() -> None:
    schema = resources.files("procrastinate").joinpath("sql/schema.sql").read_text(encoding="utf-8")
    assert statements(COPY.read_text(encoding="utf-8")) == statements(schema)
