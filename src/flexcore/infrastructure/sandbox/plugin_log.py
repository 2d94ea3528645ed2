"""What a plugin says beside its answer, as log records of the server."""

import logging
import re
from typing import Final

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.ports import PluginRequest
from flexcore.infrastructure.sandbox.secrets import Mask

LONGEST_LINE: Final = 4096
MOST_LINES: Final = 1000

# A line may open with its syslog priority in angle brackets, as systemd reads it from a service's output too.
_PRIORITY = re.compile(r"<([0-7])>")
_PRIORITIES: Final = (
    *(logging.CRITICAL,) * 3,
    logging.ERROR,
    logging.WARNING,
    logging.INFO,
    logging.INFO,
    logging.DEBUG,
)
_LEVELS: Final = {
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


class PluginLog:
    """The log of one execution: each line as it comes, cut to 4096 characters, without what `mask` hides.

    After 1000 lines it says so once and drops the rest.
    """

    def __init__(self, request: PluginRequest, mask: Mask) -> None:
        self._logger = logging.getLogger(f"flexcore.plugin.{request.plugin_id}")
        self._fields = {"plugin_id": request.plugin_id, "execution_id": request.execution_id}
        self._correlation_id = request.correlation_id
        self._mask = mask
        self._lines = 0

    def line(self, line: bytearray) -> None:
        """Take a line of what the plugin printed."""
        if self._lines > MOST_LINES:
            return
        text = line.decode("utf-8", "replace").rstrip()
        level = logging.INFO
        if (priority := _PRIORITY.match(text)) is not None:
            level, text = _PRIORITIES[int(priority[1])], text[priority.end() :]
        self._take(level, text)

    def message(self, level: str, text: str) -> None:
        """Take a message that the plugin sent; a level that there is not is info."""
        self._take(_LEVELS.get(level, logging.INFO), text.rstrip())

    def note(self, text: str) -> None:
        """Add what the server has to say about this execution."""
        self._log(logging.WARNING, text)

    def _take(self, level: int, text: str) -> None:
        self._lines += 1
        if self._lines > MOST_LINES:
            if self._lines == MOST_LINES + 1:
                self.note(f"the plugin logged more than {MOST_LINES} lines; the rest is dropped")
        elif text:
            self._log(level, self._mask.text(text)[:LONGEST_LINE])

    def _log(self, level: int, text: str) -> None:
        if self._logger.isEnabledFor(level):
            token = CORRELATION_ID.set(self._correlation_id)
            try:
                self._logger.log(level, "%s", text, extra=self._fields)
            finally:
                CORRELATION_ID.reset(token)
