"""A TCP proxy that cuts a connection in the middle of what is being said."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum


class Direction(Enum):
    """Whose words are cut."""

    TO_SERVER = "to_server"
    """A statement arrives in part, or not at all."""
    TO_CLIENT = "to_client"
    """A statement is carried out, and its answer is lost."""


class CuttingProxy:
    """Passes every connection to its `port` on to `target` of this machine, until it is told to cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._left: dict[Direction, int] = {}
        self._loop: asyncio.AbstractEventLoop
        self._serving = threading.Event()
        self._over = asyncio.Event()

    def cut_after(self, count: int, direction: Direction) -> None:
        """Let `count` more bytes pass in `direction`, over all connections, then reset the one that sends the next."""
        self._left[direction] = count

    async def serve(self) -> None:
        """Pass on until it is closed."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, sock=self._listener)
        self._serving.set()
        await self._over.wait()
        server.close()

    def close(self) -> None:
        """Stop passing on; from any thread."""
        self._serving.wait()
        self._loop.call_soon_threadsafe(self._over.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        passing = [
            asyncio.ensure_future(self._pass_on(reader, target_writer, Direction.TO_SERVER)),
            asyncio.ensure_future(self._pass_on(target_reader, writer, Direction.TO_CLIENT)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            for end in (writer, target_writer):
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                left = self._left.get(direction)
                if left is not None and left < len(data):
                    del self._left[direction]
                    self.cuts += 1
                    writer.write(data[:left])
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(writer.drain(), 1)
                    return
                if left is not None:
                    self._left[direction] = left - len(data)
                writer.write(data)
                await writer.drain()


@contextlib.contextmanager
def cutting_proxy(target: int) -> Iterator[CuttingProxy]:
    """Run a proxy in a thread for the length of a block."""
    proxy = CuttingProxy(target)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve()), name="cutting-proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
