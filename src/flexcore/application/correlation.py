"""The correlation id of whatever is being done right now; it ties a request's log lines and events together."""

from contextvars import ContextVar
from typing import Final

CORRELATION_ID: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)
