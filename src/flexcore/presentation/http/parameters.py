"""Kinds of parameters that several routes take."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone, RFC 3339."""
Cursor = Annotated[str, Meta(max_length=128)]
"""Where a page begins, as an earlier answer said."""
