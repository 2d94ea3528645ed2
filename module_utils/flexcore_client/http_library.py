"""httpx, if this interpreter has it.

Only the way through a proxy needs it. A managed host's own Python usually lacks httpx while FlexCore's virtual
environment has it, so the import may fail here without failing the module: it asks ``HTTPX_IMPORT_ERROR`` and starts
again under the other interpreter.
"""

from __future__ import annotations

import sys
import traceback

HTTPX_IMPORT_ERROR: str | None = None

# httpx imports its own command line, and with it rich and pygments, wherever those are installed. That costs 170 ms,
# more than the rest of a health check, so it is told that the command line is absent, which it copes with.
_unused_command_line = "httpx._main" not in sys.modules
if _unused_command_line:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # None is Python's own mark for "not importable"
try:
    import httpx as httpx
except ImportError:
    httpx = None  # type: ignore[assignment]  # whoever uses the client checks HTTPX_IMPORT_ERROR first
    HTTPX_IMPORT_ERROR = traceback.format_exc()
finally:
    if _unused_command_line:
        del sys.modules["httpx._main"]
