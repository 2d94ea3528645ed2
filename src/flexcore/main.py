"""The composition root: a node's parts, the routes that ask them, and the process that serves these until a signal."""

import asyncio
import ipaddress
import logging
import socket
import ssl
from pathlib import Path
from typing import Final

import uvloop

from flexcore.configuration import Configuration
from flexcore.infrastructure.telemetry import logs
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer
from flexcore.infrastructure.telemetry.service_manager import notify
from flexcore.parts import Parts
from flexcore.presentation.http.lifecycle import Lifecycle
from flexcore.presentation.http.node import Node
from flexcore.presentation.http.server import Server, bind
from flexcore.presentation.http.tls import TlsFiles
from flexcore.routes import application
from flexcore.settings import Settings
from flexcore.wiring import new_id, secrets, tune_collector

EXIT_FORCED: Final = 1

_logger = logging.getLogger("flexcore.server")


def serve(configuration: Configuration) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; raises ListenError."""
    settings = configuration.settings
    tls = _tls(settings)
    context = None if tls is None else tls.context()
    listener = bind(settings.http.host, settings.http.port)
    buffer = LogBuffer(settings.logs.buffer_records)
    logs.install(
        level="debug" if settings.debug else settings.logs.level,
        buffer=buffer,
        node_id=settings.node_id,
        hidden=(secret.reveal() for secret in secrets(settings)),
    )
    for line in configuration.unused():
        _logger.warning(line)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(configuration, buffer, listener, tls, context))


async def _serve(
    configuration: Configuration,
    buffer: LogBuffer,
    listener: socket.socket,
    tls: TlsFiles | None,
    context: ssl.SSLContext | None,
) -> int:
    settings = configuration.settings
    url = _url(listener, context, settings.node_id)
    if context is None and settings.auth.mode == "token" and not _loopback(listener):
        _logger.warning(
            "tokens and passwords pass the network unencrypted: set http.tls_cert_file and http.tls_key_file, "
            "or let something that speaks TLS stand before FlexCore"
        )
    parts = Parts(configuration, buffer, url)
    app = application(settings, parts)
    async with parts.running():
        tune_collector()
        lifecycle = Lifecycle(
            Server(app, listener, context, new_id=new_id, on_listening=lambda: _announce(parts.node, url)),
            parts.plugins,
            parts.health.monitor,
            drain_seconds=settings.drain_seconds,
            on_stopping=lambda: _tell_service_manager("STOPPING=1"),
            on_reload=lambda: None if tls is None or context is None else tls.reload(context),
        )
        ended_in_order = await lifecycle.run()
    _logger.info("stopped")
    return 0 if ended_in_order else EXIT_FORCED


def _tls(settings: Settings) -> TlsFiles | None:
    certificate, key = settings.http.tls_cert_file, settings.http.tls_key_file
    if certificate is None or key is None:
        return None
    return TlsFiles(Path(certificate), Path(key))


def _loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _url(listener: socket.socket, tls: ssl.SSLContext | None, node_id: str) -> str:
    """Return the address to reach this node at; one that listens everywhere goes by its name."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = node_id
    return f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(node: Node, url: str) -> None:
    _logger.info("listening on %s", url, extra={"url": url, "version": node.version})
    _tell_service_manager("READY=1")


def _tell_service_manager(state: str) -> None:
    try:
        notify(state)
    except OSError as error:
        _logger.warning("cannot tell the service manager %s: %s", state, error.strerror)
