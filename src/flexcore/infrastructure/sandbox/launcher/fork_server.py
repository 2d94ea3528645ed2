"""The confined process that imports the plugin once and forks each execution.

From the import on it is the plugin's, and so are its children until the kernel says otherwise: nothing here protects
anything after that. What does: the filter and the namespaces it can't leave, and the launcher, which judges its calls
and hands an execution's descriptors to the child only, past this process.
"""

import gc
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NoReturn

import flexcore_plugin.child
from flexcore.infrastructure.sandbox.launcher import landlock, linux, policy, root, seccomp
from flexcore_plugin import network

SPAWN_FLAGS: Final = linux.CLONE_PARENT | linux.CLONE_NEWUSER | linux.CLONE_NEWPID | linux.CLONE_NEWNS | 17
"""How an execution is made: a child of our own parent, in its own user, process and mount namespaces; 17 is SIGCHLD."""

CHANNEL: Final = 3
"""Where a Python plugin finds its channel; an executable finds it at 0 and 1."""

_ENVIRONMENT: Final = {"HOME": root.WORK, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TMPDIR": root.WORK}
# Generous, for the import: executions get their own, and forks without end add up to any number.
_CPU_SECONDS: Final = 600
# Generous, for what happens before and between executions.
_TASKS: Final = 4096
_OPEN_FILES: Final = 1024
_LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Work:
    """What the fork server is for: either an entry point or an executable is set."""

    directory: str
    search_path: tuple[str, ...]
    write: tuple[str, ...]
    memory_mb: int
    entry_point: str | None = None
    executable: str | None = None


def serve(control: socket.socket, work: Work) -> NoReturn:
    """Confine this process, import the plugin, then fork whenever `control` asks for it.

    It says `{"listener"}` with the descriptor, then `{"imported": milliseconds}`, or `{"error"}` and ends.
    """
    try:
        listener = _confine(work)
        socket.send_fds(control, [b'{"listener": true}'], [listener])
        os.close(listener)
        _keep_only(control)
        begun = time.monotonic()
        run = _prepare(work)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        gc.collect()
        gc.freeze()
        most = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits to hear of it
        import json

        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]}).encode())
        os._exit(1)
    control.send(b'{"imported": %d}' % round((time.monotonic() - begun) * 1000))
    while wanted := control.recv(1):
        for _ in range(wanted[0]):
            try:
                pid = linux.clone(SPAWN_FLAGS)
            except OSError as error:
                control.send(b'{"not_forked": %d}' % (error.errno or 0))
                continue
            if pid == 0:
                _become_execution(run)
    os._exit(0)


def _confine(work: Work) -> int:
    # Away from the launcher's process group, which the plugin could kill otherwise.
    os.setsid()
    root.enter()
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    landlock.confine(writable=(root.ABOVE_WORK, *work.write), devices=root.WRITABLE_DEVICES)
    memory = (work.memory_mb + 512) << 20
    for limit, value in (
        # Not even to a program that collects dumps: that is what 1 says and 0 does not.
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_NPROC, _TASKS),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 1 << 16),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        # Executions get more of these than we may use, as far as the host allows.
        keeps_hard = limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, hard if keeps_hard else bound))
    return seccomp.install(policy.filter_program(linux.MACHINE, executable=work.executable is not None))


def _keep_only(control: socket.socket) -> None:
    """Close whatever else is open, our parent's descriptors among it."""
    kept = control.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _prepare(work: Work) -> Callable[[], NoReturn]:
    if work.executable is not None:
        return _executable(os.path.join(work.directory, work.executable))  # noqa: PTH118 - a string is wanted
    assert work.entry_point is not None  # noqa: S101
    sys.path[:0] = [f"{work.directory}/site-packages", work.directory, *work.search_path]
    module, _, name = work.entry_point.partition(":")
    plugin = getattr(import_module(module), name)
    # Once for all executions: what a fork writes to first is copied, page by page, each time anew.
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    network.install()
    return lambda: flexcore_plugin.child.run(CHANNEL, plugin)


def _executable(path: str) -> Callable[[], NoReturn]:
    if not os.access(path, os.X_OK):
        raise PermissionError(f"'{os.path.basename(path)}' is not an executable file")  # noqa: PTH119

    def run() -> NoReturn:
        # What Python changed for itself, and a program does not expect.
        import signal

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(path, [path], _ENVIRONMENT)  # noqa: S606

    return run


def _become_execution(run: Callable[[], Any]) -> NoReturn:
    try:
        os.closerange(0, _OPEN_FILES)
        # Whoever shares its process group could be killed by it, in whatever namespace he is.
        os.setsid()
        # Returns when the launcher has set the limits and put the descriptors in place.
        linux.syscall(policy.HAND_OVER)
        os.chdir(root.WORK)
        run()
    finally:
        os._exit(70)
