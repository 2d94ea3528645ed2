"""Runs the supervisor as a process: its socket, its signals, its end."""

import asyncio
import logging
import os
import resource
import signal
import socket
import struct
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux
from flexcore.infrastructure.sandbox.supervisor.control_groups import ControlGroups
from flexcore.infrastructure.sandbox.supervisor.measures import prove
from flexcore.infrastructure.sandbox.supervisor.supervisor import IdleLimits, Supervisor, reap
from flexcore.infrastructure.telemetry.service_manager import notify

_PR_SET_CHILD_SUBREAPER: Final = 36
_FIRST_PASSED_DESCRIPTOR: Final = 3
_BACKLOG: Final = 16

_logger = logging.getLogger("flexcore.sandbox")


def serve_listening(path: Path, *, allowed_users: Collection[int], idle: IdleLimits) -> None:
    """Serve whoever of `allowed_users` connects to the socket at `path`, until SIGTERM; raises OSError.

    A socket that systemd passes is used instead of one at `path`.
    """
    with _listener(path) as listener:
        asyncio.run(_serve(listener, None, allowed_users, idle))


def serve_inherited(descriptor: int, *, idle: IdleLimits) -> None:
    """Serve the one connection that our parent left us, until it or SIGTERM ends it."""
    asyncio.run(_serve(None, socket.socket(fileno=descriptor), (), idle))


async def _serve(
    listener: socket.socket | None, peer: socket.socket | None, allowed: Collection[int], idle: IdleLimits
) -> None:
    # What a launcher leaves behind when it dies becomes ours, so that we can wait for it.
    linux.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    groups = ControlGroups()
    loop.add_signal_handler(signal.SIGCHLD, reap)
    supervisor = Supervisor(groups, idle)
    supervisor.measures = await prove(supervisor)
    for measure in supervisor.measures:
        if not measure.enforced:
            _logger.warning("%s is not enforced: %s", measure.name, measure.detail)
    if peer is not None:
        supervisor.accept(peer, on_close=ended.set)
    if listener is not None:
        listener.setblocking(False)
        loop.add_reader(listener, _accept, listener, supervisor, allowed)
    notify("READY=1")
    await ended.wait()
    notify("STOPPING=1")
    if listener is not None:
        loop.remove_reader(listener)
    supervisor.close()


def _listener(path: Path) -> socket.socket:
    if os.environ.pop("LISTEN_PID", "") == str(os.getpid()):
        return socket.socket(fileno=_FIRST_PASSED_DESCRIPTOR)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        path.unlink()
    listener.bind(str(path))
    # Who may connect is decided by user, below, and by the directory's mode.
    path.chmod(0o666)
    listener.listen(_BACKLOG)
    return listener


def _accept(listener: socket.socket, supervisor: Supervisor, allowed: Collection[int]) -> None:
    with suppress(BlockingIOError):
        peer, _ = listener.accept()
        pid, user, _ = struct.unpack("=iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user in allowed:
            supervisor.accept(peer)
        else:
            _logger.warning("user %d (process %d) may not use the sandbox", user, pid)
            peer.close()
