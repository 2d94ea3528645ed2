"""A thousand FlexCores that only answer, each on a port of its own: `python -m tests.bench.endpoints COUNT HANGING`.

The first line on standard output is the list of the ports, as JSON. The last HANGING of them accept and never answer.
"""

import asyncio
import json
import sys

HEALTH = {"status": "healthy", "service": "flexcore", "version": "1", "uptime": 1, "node_id": "core1", "components": {}}
INFO = {"service": "flexcore", "version": "1", "node_id": "core1", "api_versions": ["v1"]}


def answer(document: dict[str, object]) -> bytes:
    """Write an answer in full."""
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Answering(asyncio.Protocol):
    """Answers whatever is asked, as cheaply as can be: the clients are to be measured."""

    answers = {b"GET /info": answer(INFO)}
    usual = answer(HEALTH)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(self.answers.get(data[:9], self.usual))


async def serve(count: int, hanging: int) -> None:
    """Listen on `count` ports until standard input ends."""
    loop = asyncio.get_running_loop()
    ports = []
    for number in range(count):
        protocol = asyncio.Protocol if number >= count - hanging else Answering
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)  # noqa: T201 - whoever started it reads it
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
