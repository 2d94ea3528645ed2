"""Rules for the names that callers choose. Every other id is a UUIDv7, made by the callable given to the use cases."""

import re
from typing import Final

from flexcore.domain.errors import InvalidInput

# A plugin id is a path segment of the API, and so can't be the name of a route beside it.
PLUGIN_ID: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_PLUGIN_ID = re.compile(PLUGIN_ID)
_ROUTE_NAMES = frozenset({"execute"})


def check_plugin_id(plugin_id: str) -> str:
    """Return `plugin_id` if it may name a plugin; raises InvalidInput saying what is allowed."""
    if _PLUGIN_ID.fullmatch(plugin_id) is None:
        raise InvalidInput.field(
            "plugin_id", "must be 1 to 63 lower-case letters, digits and hyphens, and not begin with a hyphen"
        )
    if plugin_id in _ROUTE_NAMES:
        raise InvalidInput.field("plugin_id", f"must not be '{plugin_id}', which is the name of a route")
    return plugin_id
