"""Where a deployed FlexCore has its own Python and the libraries that it brings (see the role flexcore)."""

from __future__ import annotations

import sys
from pathlib import Path

ENVIRONMENT = "/opt/flexcore/current"
INTERPRETER = ENVIRONMENT + "/bin/python"


def packages() -> str | None:
    """Return the directory of FlexCore's libraries, None when they are for another Python than runs here."""
    path = Path(ENVIRONMENT, "lib", "python{}.{}".format(*sys.version_info), "site-packages")
    return str(path) if path.is_dir() else None
