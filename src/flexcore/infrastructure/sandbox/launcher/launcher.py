"""The trusted process beside a fork server: parent, judge and reaper of its executions.

The supervisor tells it what to start and to kill; it says how each ended. Every message is one JSON object, a packet of
its own on a socket:

- to it, first of all, what it is for: `{"work": …, "read": […], "memory_limited": …}`
- to it: `{"start": id, "limits": {…}, "groups": n}` with descriptors: channel, log, and `n` files to join control
  groups by; `{"kill": id}`
- from it: `{"ready": milliseconds}` or `{"broken": why}`, once; `{"ended": id, "status": …, "cpu_ms": …,
  "peak_memory_bytes": …, "refused": {…}, "error": …}` for every start; `{"refused": {…}}` for what the import tried;
  `{"using": {id: [cpu_ms, memory_bytes]}}` every second, of those that run
"""

import errno
import json
import os
import resource
import select
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from flexcore.infrastructure.sandbox.launcher import linux, policy, processes
from flexcore.infrastructure.sandbox.launcher.execution import Execution, Outfit
from flexcore.infrastructure.sandbox.launcher.fork_server import SPAWN_FLAGS
from flexcore.infrastructure.sandbox.launcher.notifications import Listener, Notification

LONGEST_MESSAGE: Final = 1 << 16
_MOST_DESCRIPTORS: Final = 16
# Forked ahead of their executions, which then begin at once.
_SPARE: Final = 1
# More forks than this are not asked for at a time, so that a kill finds most of what waits not begun.
_MOST_FORKING: Final = 4
# After so many refused calls an execution is only there to be refused.
_MOST_REFUSED: Final = 10_000
_LONGEST_ERROR: Final = 500
_LONGEST_IMPORT_MS: Final = 1_000_000
_USAGE_SECONDS: Final = 1.0
_FORKS: Final = ("clone", "fork", "vfork")


class Launcher:
    """Runs until the supervisor closes its end; then everything below it dies with it."""

    def __init__(
        self,
        supervisor: socket.socket,
        server_socket: socket.socket,
        *,
        server: int,
        first: int,
        memory_limited: bool,
        executable: bool,
    ) -> None:
        self._supervisor = supervisor
        self._server = server_socket
        self._server_pid = server
        self._first_pid = first
        self._memory_limited = memory_limited
        self._outfit = Outfit(memory_limited=memory_limited, executable=executable)
        self._listener: Listener | None = None
        self._waiting: deque[Execution] = deque()
        self._running: dict[int, Execution] = {}
        # Forked and asking, by process id: what they wait for, if nothing was to be started yet.
        self._spare: dict[int, Notification] = {}
        # Every child that has asked for an execution, and the fork server.
        self._known = {server}
        # Asked of the fork server: not asking yet, and of these not even forked yet.
        self._forking = self._permits = 0
        # How many to fork ahead: none after one that came to nothing, or a plugin whose forks die would have us fork
        # and bury them for ever.
        self._ahead = _SPARE
        self._refused_by_server: Counter[str] = Counter()
        self._imported = False
        self._broken: str | None = None
        self._child_ends = _child_ends()
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}

    def run(self) -> NoReturn:
        """Serve until the supervisor is gone."""
        self._watch(self._supervisor.fileno(), self._hear_supervisor)
        self._watch(self._server.fileno(), self._hear_server)
        self._watch(self._child_ends, self._reap)
        due = time.monotonic() + _USAGE_SECONDS
        while True:
            for descriptor, _ in self._poll.poll(max(due - time.monotonic(), 0) if self._running else None):
                handler = self._ready.get(descriptor)
                if handler is not None:
                    handler()
            if self._running and time.monotonic() >= due:
                self._tell(using={execution.id: processes.measure(pid) for pid, execution in self._running.items()})
                due = time.monotonic() + _USAGE_SECONDS

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._ready[descriptor] = handler
        self._poll.register(descriptor, select.EPOLLIN)

    def _unwatch(self, descriptor: int) -> None:
        del self._ready[descriptor]
        self._poll.unregister(descriptor)

    # What the supervisor says.

    def _hear_supervisor(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._supervisor, LONGEST_MESSAGE, _MOST_DESCRIPTORS)
        if not data:
            os._exit(0)
        message = json.loads(data)
        if "start" in message:
            execution = Execution(message["start"], message["limits"], descriptors)
            if self._server_pid not in self._known:
                self._drop(execution, self._broken or "the plugin's fork server ended")
                return
            self._waiting.append(execution)
            self._fill()
        elif "kill" in message:
            self._kill(message["kill"])

    def _tell(self, **message: Any) -> None:
        try:
            self._supervisor.sendall(json.dumps(message).encode())
        except BrokenPipeError:
            os._exit(0)

    def _kill(self, execution_id: str) -> None:
        for execution in self._waiting:
            if execution.id == execution_id:
                self._waiting.remove(execution)
                self._drop(execution, "it was ended before it had begun")
                return
        for pid, execution in self._running.items():
            if execution.id == execution_id:
                os.kill(pid, signal.SIGKILL)

    def _drop(self, execution: Execution, error: str) -> None:
        execution.close()
        self._tell(ended=execution.id, error=error)

    # The fork server and its children.

    def _hear_server(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._server, LONGEST_MESSAGE, 1)
        except ConnectionResetError:
            return  # it ended with a request of ours unread; what it said before comes yet
        if not data:
            self._unwatch(self._server.fileno())
            return
        if self._listener is None and descriptors:
            # Said before the plugin was imported; what comes later may be the plugin's own words.
            self._listener = Listener(descriptors[0])
            self._watch(descriptors[0], self._hear_call)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            message = json.loads(data)
            if not self._imported and "imported" in message:
                milliseconds = min(max(int(message["imported"]), 0), _LONGEST_IMPORT_MS)
                self._imported = True
                self._tell(ready=milliseconds, refused=self._refused_by_server)
                self._fill()
            elif not self._imported and "error" in message:
                self._broken = str(message["error"])[:_LONGEST_ERROR].encode("utf-8", "replace").decode()
            elif "not_forked" in message and self._forking:
                self._forking -= 1
                self._permits = min(self._permits, self._forking)
                self._nothing_forked(f"it could not be forked: {os.strerror(int(message['not_forked']))}")

    def _nothing_forked(self, error: str) -> None:
        self._ahead = 0
        if self._waiting:
            self._drop(self._waiting.popleft(), error)
        self._fill()

    def _fill(self) -> None:
        """Give spare processes to what waits, and have new ones forked."""
        while self._waiting and self._spare:
            pid, notification = self._spare.popitem()
            self._hand_over(pid, notification)
        if not self._imported:
            return
        wanted = min(len(self._waiting) + self._ahead - len(self._spare), _MOST_FORKING) - self._forking
        if wanted > 0:
            self._forking += wanted
            self._permits += wanted
            with suppress(BrokenPipeError, ConnectionResetError):
                self._server.send(bytes([wanted]))

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._child_ends, 4096)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status, usage)

    def _ended(self, pid: int, status: int, usage: resource.struct_rusage) -> None:
        known = pid in self._known
        self._known.discard(pid)
        execution = self._running.pop(pid, None)
        if pid == self._first_pid:
            os._exit(1)
        elif pid == self._server_pid:
            self._server_ended(status)
        elif execution is not None:
            self._tell(
                ended=execution.id,
                status=status,
                cpu_ms=round((usage.ru_utime + usage.ru_stime) * 1000),
                peak_memory_bytes=usage.ru_maxrss * 1024,
                refused=execution.refused,
                error=execution.killed_because,
            )
        elif not known:
            self._forking = max(self._forking - 1, 0)
            self._nothing_forked(f"its process ended before it could begin ({_how(status)})")
        elif self._spare.pop(pid, None) is not None:
            self._ahead = 0
            self._fill()

    def _server_ended(self, status: int) -> None:
        # What it had to say may be unread.
        while self._server.fileno() in self._ready:
            self._hear_server()
        if self._broken is None:
            self._broken = f"the plugin's fork server ended ({_how(status)})"
        # What is running goes on; nothing more can be started.
        self._tell(broken=self._broken, refused=self._refused_by_server)
        while self._waiting:
            self._drop(self._waiting.popleft(), self._broken)
        for pid in self._spare:
            os.kill(pid, signal.SIGKILL)

    # What the plugin asks the kernel for.

    def _hear_call(self) -> None:
        assert self._listener is not None  # noqa: S101
        notification = self._listener.receive()
        if notification is None:
            return
        with suppress(FileNotFoundError):  # the caller was killed meanwhile
            self._judge(notification)

    def _judge(self, call: Notification) -> None:
        assert self._listener is not None  # noqa: S101
        if call.name == policy.HAND_OVER:
            self._asked(call)
            return
        owner = processes.owner(call.thread, self._known)
        execution = self._running.get(owner)
        if call.name in _FORKS:
            allowed = self._may_fork(owner, execution, call)
        elif call.name == "mmap":
            allowed = execution is not None
            if not allowed:
                self._listener.refuse(call, errno.EPERM)
                return
        elif call.name == "memfd_create":
            # Without a limit on memory as such, memory in files would be without any.
            allowed = execution is not None and self._memory_limited
            if not allowed:
                self._listener.refuse(call, errno.ENOSYS)
                return
        else:
            allowed = False
        if allowed:
            self._listener.proceed(call)
            return
        self._listener.refuse(call, errno.EPERM)
        counted = self._refused_by_server if execution is None else execution.refused
        counted[call.name] += 1
        if counted.total() > _MOST_REFUSED:
            error = f"it tried more than {_MOST_REFUSED} system calls that no plugin may make"
            if execution is not None:
                execution.killed_because = execution.killed_because or error
            elif owner == self._server_pid:
                self._broken = self._broken or error
            if owner:
                os.kill(owner, signal.SIGKILL)

    def _may_fork(self, owner: int, execution: Execution | None, call: Notification) -> bool:
        flags = call.arguments[0] & 0xFFFFFFFF if call.name == "clone" else 0
        if owner == self._server_pid:
            allowed = flags == SPAWN_FLAGS and self._permits > 0
            self._permits -= allowed
            return allowed
        forbidden = policy.NEW_NAMESPACES | linux.CLONE_PARENT
        if execution is None or flags & forbidden:
            return False
        limit = execution.limits["processes"]
        return limit > 1 and len(processes.descendants(owner, limit)) < limit

    def _asked(self, call: Notification) -> None:
        """Answer a new process, which asks for its execution. Nobody else may make this call."""
        assert self._listener is not None  # noqa: S101
        pid = call.thread
        if pid in self._known or not processes.is_our_child(pid):
            self._listener.refuse(call, errno.EPERM)
            return
        self._forking = max(self._forking - 1, 0)
        self._known.add(pid)
        if (defect := _defect(pid)) is not None:
            os.kill(pid, signal.SIGKILL)
            self._nothing_forked(defect)
            return
        if self._waiting:
            self._hand_over(pid, call)
        elif len(self._spare) < _SPARE:
            self._spare[pid] = call
        else:
            # What it was asked for has been killed meanwhile.
            os.kill(pid, signal.SIGKILL)
        self._fill()

    def _hand_over(self, pid: int, call: Notification) -> None:
        """Bind the next execution to this process."""
        assert self._listener is not None  # noqa: S101
        execution = self._waiting.popleft()
        self._running[pid] = execution
        self._ahead = _SPARE
        try:
            self._outfit.put_on(execution, pid, call, self._listener)
        except OSError as error:
            execution.killed_because = f"it could not be given its limits: {error.strerror}"
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        execution.close()


def _defect(pid: int) -> str | None:
    """Say why a new process can't be let run an execution, if so."""
    try:
        if any(Path(f"/proc/{pid}/fd").iterdir()):
            # They would be shared with the executions to come.
            return "the plugin's import left descriptors open and kept them from being closed"
        if os.getsid(pid) != pid:
            return "the plugin's import kept it in a process group with others, whom it could kill"
    except OSError as error:
        # It was killed in this moment, perhaps on purpose.
        return f"its process could not be looked at: {error.strerror}"
    return None


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _child_ends() -> int:
    """Have the ends of children make a descriptor readable, and interrupt nothing."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    return linux.signal_descriptor(signal.SIGCHLD)
