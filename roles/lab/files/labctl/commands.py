"""Running this machine's commands, and the one error that a person sees."""

import shlex
import subprocess
import time
from collections.abc import Callable


class LabError(Exception):
    """What went wrong, in one line for the person at the terminal."""


def run(*command: str, check: bool = True) -> str:
    """Return a command's standard output. Raises LabError with its standard error if it fails and `check` is set."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, own words
    if check and done.returncode != 0:
        raise LabError(f"`{shlex.join(command)}` failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Tell whether the condition came true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
