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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from flexcore.infrastructure.sandbox.launcher import linux, policy, root, usage
from flexcore.infrastructure.sandbox.launcher.fork_server import CHANNEL, SPAWN_FLAGS
from flexcore.infrastructure.sandbox.launcher.notifications import Listener, Notification

LONGEST_MESSAGE: Final = 1 << 16
_MOST_DESCRIPTORS: Final = 16
# Forked ahead of their executions, which then begin at once.
_SPARE: Final = 1
# More forks than this are not asked for at a time, so that a kill finds most of what waits not begun.
_MOST_FORKING: Final = 4
# Threads that an execution may have beside its processes.
_THREADS: Final = 63
# After so many refused calls an execution is only there to be refused.
_MOST_REFUSED: Final = 10_000
_LONGEST_ERROR: Final = 500
_LONGEST_IMPORT_MS: Final = 1_000_000
_USAGE_SECONDS: Final = 1.0
_FORKS: Final = ("clone", "fork", "vfork")
_MEGABYTE: Final = 1 << 20
_RESERVED: Final = 256 * _MEGABYTE


@dataclass(slots=True)
class Execution:
    """One execution, from its start to its end."""

    id: str
    limits: dict[str, int]
    descriptors: list[int]
    refused: Counter[str] = field(default_factory=Counter)
    killed_because: str | None = None

    def close(self) -> None:
        """Give up our copies of its descriptors."""
        while self.descriptors:
            os.close(self.descriptors.pop())


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
        self._executable = executable
        self._listener: Listener | None = None
        self._waiting: deque[Execution] = deque()
        self._running: dict[int, Execution] = {}
        # Forked and asking, by process id: what they wait for, if nothing was to be started yet.
        self._spare: dict[int, Notification] = {}
        # Every child that has asked for an execution, and the fork server.
        self._known = {server}
        # Asked of the fork server: not asking yet, and of these not even forked yet.
        self._forking = self._permits = 0
        self._refused_by_server: Counter[str] = Counter()
        self._imported = False
        self._broken: str | None = None
        self._namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
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
                self._tell(using={execution.id: usage.measure(pid) for pid, execution in self._running.items()})
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
        data, descriptors, _, _ = socket.recv_fds(self._server, LONGEST_MESSAGE, 1)
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
        wanted = min(len(self._waiting) + _SPARE - len(self._spare), _MOST_FORKING) - self._forking
        if wanted > 0:
            self._forking += wanted
            self._permits += wanted
            with suppress(BrokenPipeError):
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
        owner = self._owner(call.thread)
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
        return limit > 1 and len(usage.descendants(owner, limit)) < limit

    def _owner(self, thread: int) -> int:
        """Find which of our children a thread belongs to: its process, or an ancestor of that; 0 if none."""
        pid = thread
        while pid > 1 and pid not in self._known:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                return 0
            fields = dict(line.split(":", 1) for line in lines if line.startswith(("Tgid:", "PPid:")))
            group = int(fields["Tgid"])
            pid = group if group != pid else int(fields["PPid"])
        return pid if pid in self._known else 0

    def _asked(self, call: Notification) -> None:
        """Answer a new process, which asks for its execution. Nobody else may make this call."""
        assert self._listener is not None  # noqa: S101
        pid = call.thread
        if pid in self._known or not _is_our_child(pid):
            self._listener.refuse(call, errno.EPERM)
            return
        self._forking = max(self._forking - 1, 0)
        self._known.add(pid)
        if any(Path(f"/proc/{pid}/fd").iterdir()):
            # They would be shared with the executions to come.
            os.kill(pid, signal.SIGKILL)
            self._nothing_forked("the plugin's import left descriptors open and kept them from being closed")
            return
        if os.getsid(pid) != pid:
            os.kill(pid, signal.SIGKILL)
            self._nothing_forked("the plugin's import kept it in a process group with others, whom it could kill")
            return
        if self._waiting:
            self._hand_over(pid, call)
        else:
            self._spare[pid] = call
        self._fill()

    def _hand_over(self, pid: int, call: Notification) -> None:
        """Bind the next execution to this process: limits first, then its descriptors, then let it go."""
        assert self._listener is not None  # noqa: S101
        execution = self._waiting.popleft()
        self._running[pid] = execution
        try:
            channel, log, *groups = execution.descriptors
            for group in groups:
                os.write(group, str(pid).encode())
            self._mount_work(pid, execution.limits)
            self._limit(pid, execution.limits)
            for descriptor, number in self._places(channel, log):
                self._listener.give(call, descriptor, number)
            self._listener.succeed(call)
        except OSError as error:
            execution.killed_because = f"it could not be given its limits: {error.strerror}"
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        execution.close()

    def _places(self, channel: int, log: int) -> tuple[tuple[int, int], ...]:
        if self._executable:
            return (channel, 0), (channel, 1), (log, 2)
        return (self._null, 0), (log, 1), (log, 2), (channel, CHANNEL)

    def _mount_work(self, pid: int, limits: dict[str, int]) -> None:
        """Give the execution a work directory of its own: in its mount namespace, where nobody else is."""
        size = limits["work_mb"]
        process = os.pidfd_open(pid)
        try:
            linux.setns(process, linux.CLONE_NEWNS)
        finally:
            os.close(process)
        try:
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
            linux.mount("tmpfs", root.WORK, "tmpfs", flags, f"mode=0700,size={size}m,nr_inodes={size * 64 + 64}")
        finally:
            linux.setns(self._namespace, linux.CLONE_NEWNS)

    def _limit(self, pid: int, limits: dict[str, int]) -> None:
        values = {
            resource.RLIMIT_CPU: limits["cpu_seconds"],
            resource.RLIMIT_FSIZE: limits["file_size_mb"] * _MEGABYTE,
            resource.RLIMIT_NOFILE: limits["open_files"],
            resource.RLIMIT_NPROC: limits["processes"] + _THREADS,
        }
        if not self._memory_limited:
            memory = limits["memory_mb"] * _MEGABYTE
            values[resource.RLIMIT_DATA] = memory
            # Looser, for libraries reserve more than they use; but shared memory counts here only.
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            values[resource.RLIMIT_AS] = pages * resource.getpagesize() + 2 * memory + _RESERVED
        for limit, value in values.items():
            hard = resource.prlimit(pid, limit)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, limit, (bound, bound))


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _child_ends() -> int:
    """Have the ends of children make a descriptor readable, and interrupt nothing."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    return linux.signal_descriptor(signal.SIGCHLD)


def _is_our_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
