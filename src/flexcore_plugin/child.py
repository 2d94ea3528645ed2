"""The execution of a Python plugin: makes the object, calls the method, answers."""

import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, TextIO

from flexcore_plugin.session import OperationFailed, Session, open_session

_LONGEST_ERROR = 500


def run(descriptor: int, plugin: Any) -> NoReturn:
    """Run what the channel asks for and leave at once, without waiting for threads or exit handlers of the plugin.

    Descriptors 1 and 2 are the log.
    """
    sys.stdout, sys.stderr = _log_stream(1), _log_stream(2)
    session = open_session(descriptor)
    answer = _answer(session, plugin)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        session.send(answer)
    except (TypeError, ValueError, RecursionError) as error:
        session.send(_crashed(f"it returned a value that is not JSON: {error}"))
    os._exit(0)


def _log_stream(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _answer(session: Session, plugin: Any) -> Mapping[str, Any]:
    request = session.begin()
    try:
        data = _call(plugin(request["configuration"]), request["operation"], request["data"])
    except OperationFailed as error:
        return {"type": "result", "success": False, "data": {"error": str(error), **error.details}}
    except MemoryError:
        return {**_crashed("it ran out of memory"), "out_of_memory": True}
    except BaseException as error:  # noqa: BLE001 - whatever it is, the server must hear of it
        _log_traceback(error)
        return _crashed(f"{type(error).__name__}: {error}")
    return {"type": "result", "success": True, "data": data}


def _call(plugin: Any, operation: str, data: Mapping[str, Any]) -> Any:
    name = operation.replace("-", "_")
    method = None if name.startswith("_") else getattr(plugin, name, None)
    if method is None and operation == "health":
        return {"status": "healthy"}  # it could be imported and made
    if method is None:
        raise AttributeError(f"the class {type(plugin).__name__} has no method '{name}'")
    return method(**data)


def _crashed(error: str) -> Mapping[str, Any]:
    return {"type": "crashed", "error": error[:_LONGEST_ERROR].encode("utf-8", "backslashreplace").decode()}


def _log_traceback(error: BaseException) -> None:
    import traceback

    lines = "".join(traceback.format_exception(error)).splitlines()
    sys.stderr.write("".join(f"<3>{line}\n" for line in lines))
