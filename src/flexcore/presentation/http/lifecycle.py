"""Ends the server in order at the first signal, and at once at the second.

In order means: not ready any more, no new executions, but still answering, so that whoever asks learns why; when the
running executions are done, or their time is up, the server stops accepting and closes its connections.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from typing import Final

from flexcore.application.health import HealthMonitor
from flexcore.application.plugins import Plugins
from flexcore.presentation.http.server import Server

# After the drain's deadline: what cancelled executions get to kill their plugin and record that.
_CANCELLATION_SECONDS: Final = 3.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_logger = logging.getLogger("flexcore.server")


class Lifecycle:
    """Runs `server` to its end; `on_stopping` is called at the first signal, `on_reload` at every SIGHUP."""

    def __init__(
        self,
        server: Server,
        plugins: Plugins,
        monitor: HealthMonitor,
        *,
        drain_seconds: int,
        on_stopping: Callable[[], None],
        on_reload: Callable[[], None],
    ) -> None:
        self._server = server
        self._plugins = plugins
        self._monitor = monitor
        self._drain_seconds = drain_seconds
        self._on_stopping = on_stopping
        self._on_reload = on_reload
        self._draining: asyncio.Task[None] | None = None
        self._forced = False

    async def run(self) -> bool:
        """Serve until a signal; False if a second one cut the drain short."""
        with self._handling_signals():
            await self._server.run_until_stopped()
            if self._draining is not None:
                self._draining.cancel()
            if self._server.server_state.tasks:
                await asyncio.wait(self._server.server_state.tasks, timeout=_CANCELLATION_SECONDS)
        return not self._forced

    @contextlib.contextmanager
    def _handling_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        try:
            yield
        finally:
            for number in (*_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._draining is None:
            _logger.info("stopping", extra={"signal": number.name, "drain_seconds": self._drain_seconds})
            self._on_stopping()
            self._monitor.drain()
            self._draining = asyncio.create_task(self._drain(), name="drain")
        else:
            _logger.warning("stopping at once", extra={"signal": number.name})
            self._forced = True
            self._cut_off()

    async def _drain(self) -> None:
        if await self._plugins.drain(self._drain_seconds):
            self._server.should_exit = True
            return
        _logger.warning(
            "executions still run after the drain and are cancelled",
            extra={"executions": self._plugins.active_executions, "drain_seconds": self._drain_seconds},
        )
        self._cut_off()

    def _cut_off(self) -> None:
        self._server.force_exit = True
        self._server.should_exit = True
        for task in self._server.server_state.tasks:
            task.cancel()
