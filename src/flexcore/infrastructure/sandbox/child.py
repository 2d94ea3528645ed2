"""The program of the child process: runs one operation of one plugin and answers with one JSON document.

Started as `python -I -S child.py`, by path: it must not depend on anything but the standard library, and loads as
little of that as it can. The request comes on stdin, the answer goes to stdout.
"""

import io
import json
import os
import resource
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Run the request and leave at once, without waiting for threads or exit handlers of the plugin."""
    # The event loop that started us leaves open what libraries of the server opened without close-on-exec.
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    request = json.loads(sys.stdin.buffer.read())
    answer = _claim_stdout()
    _die_with(request["parent"])
    _limit(request["limits"])
    sys.path[:0] = request["search_path"]
    reply = _run(**request["work"])
    try:
        text = json.dumps(reply, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"kind": "crashed", "error": f"it returned a value that is not JSON: {error}"})
    answer.write(text.encode("utf-8", "backslashreplace"))
    for stream in (answer, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _claim_stdout() -> io.BufferedWriter:
    """Keep the answer's pipe to ourselves; whatever the plugin prints becomes log lines."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    return answer


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the server dies, however it dies."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


class _Session:
    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id

    def send(self, message: dict[str, str]) -> None:
        priority = {"error": 3, "warning": 4, "info": 6, "debug": 7}[message["level"]]
        print(f"<{priority}>{message['message']}", file=sys.stderr, flush=True)  # noqa: T201 - this is the log


def _run(
    execution_id: str, entry_point: str, configuration: dict[str, object], operation: str, data: dict[str, object]
) -> object:
    from importlib import import_module

    from flexcore_plugin import OperationFailed, session

    session._session = _Session(execution_id)  # type: ignore[assignment] # as much of one as there is here
    try:
        module, _, name = entry_point.partition(":")
        plugin = getattr(import_module(module), name)(configuration)
        if operation == "health" and not hasattr(plugin, operation):
            return {"kind": "done", "data": {"status": "healthy"}}
        return {"kind": "done", "data": getattr(plugin, operation)(**data)}
    except OperationFailed as error:
        return {"kind": "failed", "data": {"error": str(error), **error.details}}
    except MemoryError:
        return {"kind": "crashed", "error": "it ran out of memory"}
    except BaseException as error:  # noqa: BLE001 - whatever it is, the server must hear of it
        import traceback

        lines = "".join(traceback.format_exception(error)).splitlines()
        sys.stderr.write("".join(f"<3>{line}\n" for line in lines))
        return {"kind": "crashed", "error": f"{type(error).__name__}: {error}"}


main()
