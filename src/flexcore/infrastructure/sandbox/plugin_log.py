"""A plugin's stderr as log records."""

import asyncio
import logging
import re
from typing import Final

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.ports import PluginRequest

_READ_BYTES: Final = 1 << 16
LONGEST_LINE: Final = 4096
MOST_LINES: Final = 1000

# A line may open with its syslog priority in angle brackets, as systemd reads it from a service's output too.
_PRIORITY = re.compile(r"<([0-7])>")
_LEVELS: Final = (
    *(logging.CRITICAL,) * 3,
    logging.ERROR,
    logging.WARNING,
    logging.INFO,
    logging.INFO,
    logging.DEBUG,
)


async def relay(stderr: asyncio.StreamReader, request: PluginRequest) -> None:
    """Log each line as it comes, cut to 4096 characters; after 1000 lines say so once and drop the rest."""
    CORRELATION_ID.set(request.correlation_id)  # in this task's own context
    logger = logging.getLogger(f"flexcore.plugin.{request.plugin_id}")
    fields = {"plugin_id": request.plugin_id, "execution_id": request.execution_id}
    rest, number = b"", 0
    while chunk := await stderr.read(_READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            _log(logger, line, number, fields)
        rest = rest[:LONGEST_LINE]
    if rest:
        _log(logger, rest, number + 1, fields)


def _log(logger: logging.Logger, line: bytes, number: int, fields: dict[str, str]) -> None:
    if number > MOST_LINES:
        if number == MOST_LINES + 1:
            logger.warning("the plugin logged more than %d lines; the rest is dropped", MOST_LINES, extra=fields)
        return
    text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
    level = logging.INFO
    if (priority := _PRIORITY.match(text)) is not None:
        level, text = _LEVELS[int(priority[1])], text[priority.end() :]
    if text:
        logger.log(level, "%s", text, extra=fields)
