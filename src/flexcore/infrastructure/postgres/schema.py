"""Which schema this release needs."""

from typing import Final

# The newest revision under migrations/versions. Revisions are numbers of four digits, so newer ones sort later.
SCHEMA_REVISION: Final = "0010"


def is_served_by(revision: str) -> bool:
    """Whether a database at `revision` serves this release.

    A newer one does: a rolling upgrade migrates first, and the old nodes go on serving until they are replaced.
    """
    return revision >= SCHEMA_REVISION
