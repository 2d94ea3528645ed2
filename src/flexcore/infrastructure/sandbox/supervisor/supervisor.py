"""What the supervisor keeps: connections, fork servers, executions, and the time they have."""

import asyncio
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from flexcore.infrastructure.sandbox.messages import (
    Ended,
    Hello,
    Kill,
    Limits,
    Measure,
    NotWarmed,
    Plugin,
    Retire,
    Start,
    ToSupervisor,
    Using,
    Warm,
    Warmed,
)
from flexcore.infrastructure.sandbox.supervisor.connection import Connection
from flexcore.infrastructure.sandbox.supervisor.control_groups import ControlGroups, Group
from flexcore.infrastructure.sandbox.supervisor.ends import EndedByUs, describe, refusals
from flexcore.infrastructure.sandbox.supervisor.fork_servers import End, ForkServer

_logger = logging.getLogger("flexcore.sandbox")

# An import that takes longer hangs.
_IMPORT_SECONDS: Final = 60.0
# A kill takes effect at once, or whoever should do it can't.
_KILL_SECONDS: Final = 1.0
_TIDY_SECONDS: Final = 0.1
_CLOSING_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class IdleLimits:
    """How many idle fork servers are kept, and for how long."""

    count: int = 32
    seconds: float = 3600.0


@dataclass(slots=True)
class _Execution:
    id: str
    connection: Connection
    limits: Limits
    group: Group | None
    begun: float
    timer: asyncio.TimerHandle | None = None
    ended_by_us: EndedByUs | None = None
    error: str | None = None


@dataclass(slots=True)
class _Plugin:
    """A fork server, and what goes on with it."""

    server: ForkServer
    executions: dict[str, _Execution] = field(default_factory=dict)
    warming: list[Connection] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    retiring: bool = False


class Supervisor:
    """Serves any number of connections until it is closed."""

    def __init__(self, groups: ControlGroups, idle: IdleLimits = IdleLimits()) -> None:
        self.groups = groups
        self.measures: tuple[Measure, ...] = ()
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Connection, Callable[[], None] | None] = {}
        self._plugins: dict[ForkServer, _Plugin] = {}
        self._current: dict[str, _Plugin] = {}  # those that take starts, by key
        self._leaving: list[Group] = []
        self._numbers = itertools.count(1)

    def accept(self, peer: socket.socket, on_close: Callable[[], None] | None = None) -> None:
        """Serve a server's connection; `on_close` is called when it is over."""
        connection = Connection(peer, received=self._received, closed=self._closed)
        self._connections[connection] = on_close
        connection.send(Hello(measures=self.measures))

    def launcher_of(self, key: str) -> int:
        """Give the process id of a plugin's launcher; raises KeyError."""
        return self._current[key].server.pid

    def retire(self, key: str) -> None:
        """Stop a plugin's fork server once its executions have ended."""
        if (found := self._current.get(key)) is not None:
            self._retire(found)

    def close(self) -> None:
        """Kill everything, wait for it, and remove what was made."""
        for connection in list(self._connections):
            connection.close("the supervisor ends")
        for server in self._plugins:
            server.close()
        for server in self._plugins:
            server.wait()
        deadline = time.monotonic() + _KILL_SECONDS / 2
        # What launchers leave behind becomes ours, and was killed with them.
        while (reap() or not self.groups.close()) and time.monotonic() < deadline:
            time.sleep(_CLOSING_SECONDS)

    # What servers ask for.

    def _received(self, connection: Connection, message: ToSupervisor, descriptors: list[int]) -> None:
        match message:
            case Start():
                self._start(connection, message, descriptors)
            case Kill():
                for plugin in self._plugins.values():
                    for number, execution in plugin.executions.items():
                        if execution.id == message.execution_id and execution.connection is connection:
                            self._kill(plugin, number, "killed", None)
            case Warm():
                self._warm(connection, message)
            case Retire():
                self.retire(message.key)
            case _:
                assert_never(message)

    def _closed(self, connection: Connection, why: str) -> None:
        on_close = self._connections.pop(connection)
        _logger.info("a connection ended: %s", why)
        for plugin in self._plugins.values():
            for number, execution in plugin.executions.items():
                if execution.connection is connection:
                    self._kill(plugin, number, "killed", "the connection that started it ended")
            plugin.warming = [waiting for waiting in plugin.warming if waiting is not connection]
        if on_close is not None:
            on_close()

    def _start(self, connection: Connection, start: Start, descriptors: list[int]) -> None:
        begun = time.monotonic()
        group = None
        try:
            plugin = self._plugin(start.plugin, start.limits)
            group = self.groups.create(start.limits)
            files = group.open()
        except OSError as error:
            if group is not None:
                group.remove()
            for descriptor in descriptors:
                os.close(descriptor)
            connection.send(Ended(execution_id=start.execution_id, how="not_started", error=_reason(error)))
            return
        number = str(next(self._numbers))
        execution = _Execution(start.execution_id, connection, start.limits, group, begun)
        execution.timer = self._loop.call_later(start.wall_seconds, self._kill, plugin, number, "timed_out", None)
        plugin.executions[number] = execution
        plugin.server.start(number, start.limits, [*descriptors, *files])

    def _warm(self, connection: Connection, warm: Warm) -> None:
        try:
            plugin = self._plugin(warm.plugin, warm.limits)
        except OSError as error:
            connection.send(NotWarmed(key=warm.plugin.key, error=_reason(error)))
            return
        if plugin.server.is_ready:
            connection.send(Warmed(key=warm.plugin.key, ms=0))
        else:
            plugin.warming.append(connection)

    def _plugin(self, wanted: Plugin, limits: Limits) -> _Plugin:
        """Find the fork server of a plugin, or start one; raises OSError."""
        found = self._current.get(wanted.key)
        if found is None:
            server = ForkServer(wanted, limits, self, memory_limited=self.groups.limits_memory)
            found = self._plugins[server] = self._current[wanted.key] = _Plugin(server)
            found.timer = self._loop.call_later(_IMPORT_SECONDS, self._import_hangs, found)
        elif found.server.is_ready and found.timer is not None:
            found.timer.cancel()
            found.timer = None
        return found

    # What becomes of it.

    def server_ready(self, server: ForkServer, milliseconds: int, refused: dict[str, int]) -> None:
        """Tell who waits for it."""
        plugin = self._plugins[server]
        if plugin.timer is not None:
            plugin.timer.cancel()
            plugin.timer = None
        for connection in plugin.warming:
            connection.send(Warmed(key=server.plugin.key, ms=milliseconds, refused=refusals(refused)))
        plugin.warming.clear()
        self._tidy(plugin)

    def server_broken(self, server: ForkServer, error: str, refused: dict[str, int]) -> None:
        """Tell who waits for it; the next start begins with a new one."""
        plugin = self._plugins[server]
        _logger.warning("plugin %s %s: %s", server.plugin.id, server.plugin.version, error)
        for connection in plugin.warming:
            connection.send(NotWarmed(key=server.plugin.key, error=error, refused=refusals(refused)))
        plugin.warming.clear()
        self._retire(plugin)

    def execution_ended(self, server: ForkServer, end: End) -> None:
        """Tell who started it."""
        plugin = self._plugins[server]
        execution = plugin.executions.pop(end.ended, None)
        if execution is None:
            return
        self._finish(execution, end)
        if end.status is None and execution.ended_by_us == "timed_out" and server.is_ready:
            # It was asked for a process for all this time, and gave none; what is killed may not have had the time.
            self._retire(plugin)
        self._tidy(plugin)

    def executions_using(self, server: ForkServer, using: dict[str, tuple[int, int]]) -> None:
        """Tell who started them."""
        executions = self._plugins[server].executions
        for number, (cpu_ms, memory_bytes) in using.items():
            if (execution := executions.get(number)) is not None:
                wall_ms = _since(execution.begun)
                execution.connection.send(
                    Using(execution_id=execution.id, cpu_ms=cpu_ms, memory_bytes=memory_bytes, wall_ms=wall_ms)
                )

    def server_gone(self, server: ForkServer) -> None:
        """End what it has not ended itself."""
        plugin = self._plugins.pop(server)
        if plugin.timer is not None:
            plugin.timer.cancel()
        if self._current.get(server.plugin.key) is plugin:
            del self._current[server.plugin.key]
        error = server.error or "its launcher ended unexpectedly"
        for connection in plugin.warming:
            connection.send(NotWarmed(key=server.plugin.key, error=error))
        for execution in plugin.executions.values():
            self._finish(execution, End(ended="", error=error))

    def _finish(self, execution: _Execution, end: End) -> None:
        if execution.timer is not None:
            execution.timer.cancel()
        group = execution.group
        execution.connection.send(
            describe(
                execution.id,
                end,
                cpu_limit_seconds=execution.limits.cpu_seconds,
                wall_ms=_since(execution.begun),
                ended_by_us=execution.ended_by_us,
                error=execution.error,
                out_of_memory=group is not None and end.status is not None and group.ran_out_of_memory(),
                peak_memory_bytes=group.peak_memory_bytes() if group is not None else 0,
            )
        )
        if group is not None and not group.remove():
            self._leaving.append(group)
            self._loop.call_later(_TIDY_SECONDS, self._remove_groups)

    def _remove_groups(self) -> None:
        self._leaving = [group for group in self._leaving if not group.remove()]

    def _kill(self, plugin: _Plugin, number: str, how: EndedByUs, error: str | None) -> None:
        execution = plugin.executions[number]
        if execution.ended_by_us is not None:
            return
        execution.ended_by_us, execution.error = how, error
        if execution.timer is not None:
            execution.timer.cancel()
        execution.timer = self._loop.call_later(_KILL_SECONDS, plugin.server.close)
        plugin.server.kill(number)

    # Fork servers that are not needed.

    def _retire(self, plugin: _Plugin) -> None:
        plugin.retiring = True
        if self._current.get(plugin.server.plugin.key) is plugin:
            del self._current[plugin.server.plugin.key]
        self._tidy(plugin)

    def _tidy(self, plugin: _Plugin) -> None:
        """Stop a fork server that nobody needs, and set the time for one that nobody may need any more."""
        if plugin.executions or plugin.warming:
            return
        if plugin.retiring:
            plugin.server.close()
        elif plugin.server.is_ready:
            if plugin.timer is not None:
                plugin.timer.cancel()
            plugin.timer = self._loop.call_later(self._idle.seconds, self._retire, plugin)
            idle = [other for other in self._current.values() if other.server.is_ready and not other.executions]
            for other in sorted(idle, key=_idle_until)[: max(len(idle) - self._idle.count, 0)]:
                self._retire(other)

    def _import_hangs(self, plugin: _Plugin) -> None:
        plugin.server.error = f"its import was not done after {_IMPORT_SECONDS:g} s"
        plugin.server.close()


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def _idle_until(plugin: _Plugin) -> float:
    return plugin.timer.when() if plugin.timer is not None else 0.0


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)


def reap() -> bool:
    """Bury the children that ended; says whether any lives. What launchers leave behind is among them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
