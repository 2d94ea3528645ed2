"""Whatever a server does, a call ends when its time is over: to the millisecond, in a time that no machine delays."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from flexcore_client.address import parse_address
from flexcore_client.breaker import CircuitBreaker
from flexcore_client.client import FlexCoreClient
from flexcore_client.connection import Connection
from flexcore_client.credentials import Login
from flexcore_client.errors import ClientError
from flexcore_client.exchange import Timeouts
from flexcore_client.fanout import CheckOptions, check_all
from flexcore_client.http_message import Body
from flexcore_client.models import ServiceHealth
from flexcore_client.retry import NO_RETRIES, RetryPolicy
from flexcore_client.targets import parse_targets
from flexcore_client.tls import TlsOptions
from flexcore_client.transport import HttpTransport
from flexcore_client.transport_errors import NEXT_TIMEOUT
from flexcore_client.waiter import wait_until

from tests.doubles.certificates import Authority
from tests.doubles.virtual_time import LoopClock, VirtualLoop, run

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 5.0
# What is left of the millisecond is what floats do to sums of times.
IN_TIME = LIMIT + 0.001
FOREVER = 1e6
JSON = b"Content-Type: application/json\r\n"
HEALTH = b'{"status": "healthy", "version": "1"}'


def answer(body: bytes = HEALTH, status: bytes = b"200 OK", head: bytes = JSON) -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(body), body)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, read and never answer."""
    while await reader.read(1 << 16):
        pass


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the head of a request and nothing of its body."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(FOREVER)


def dripping(text: bytes) -> Peer:
    """Say ``text`` in one go, and from then on a byte each second."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        while not writer.is_closing():
            await asyncio.sleep(1)
            writer.write(b" ")

    return peer


def saying(text: bytes, pause: float = 0.0, close: bool = False) -> Peer:
    """Answer every request with ``text`` after a pause."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(pause)
            writer.write(text)
            await writer.drain()
            if close:
                return

    return peer


def saying_first(text: bytes) -> Peer:
    """Greet with ``text`` and wait."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await silent(reader, writer)

    return peer


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset in the middle of a body, two seconds after its beginning."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(b" " * 100)[:-90])
    await asyncio.sleep(2)
    writer.transport.abort()


async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send 100 MB for as long as somebody reads them."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        writer.write(b" " * 65536)
        await writer.drain()


def refusing(status: bytes, head: bytes = b"") -> Peer:
    return saying(answer(b"", status, head), pause=0.5)


PEERS: dict[str, Peer] = {
    "silent": silent,
    "1 byte/s of a head": dripping(b"HTTP/1.1 200 OK\r\nX: "),
    "1 byte/s of a body": dripping(answer(b" " * 1_000_000)[:100]),
    "1 byte/s of no HTTP": dripping(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "reset in a body": resetting,
    "100 MB": flooding,
    "HTML": saying(answer(b"<html>", head=b"Content-Type: text/html\r\n"), pause=2),
    "redirects": refusing(b"302 Found", b"Location: /health\r\n"),
    "429": refusing(b"429 Too Many Requests", b"Retry-After: 1\r\n"),
    "429 for long": refusing(b"429 Too Many Requests", b"Retry-After: 90\r\n"),
    "500": refusing(b"500 Internal Server Error"),
    "null and wrong types": saying(answer(b'{"status": null, "components": [1]}'), pause=2),
    "slow with every answer": saying(answer(), pause=2),
    "closing after every answer": saying(answer(), pause=2, close=True),
}


@contextlib.asynccontextmanager
async def listening(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Let ``peer`` deal with every connection to a free loopback port, and give host and port."""

    dealing: set[asyncio.Task[None]] = set()

    async def deal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        dealing.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await peer(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(deal, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in dealing:
            task.cancel()
        await asyncio.gather(*dealing)
        await asyncio.sleep(0)


async def seconds_of(work: Awaitable[object]) -> float:
    """Return what ``work`` takes, which may fail in the way of a client."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with contextlib.suppress(ClientError):
        await work
    return loop.time() - began


async def check_of(*urls: str, connection: Connection | None = None, deadline: float | None = None) -> None:
    options = CheckOptions(timeout=LIMIT, deadline=deadline, retry=RetryPolicy(50), concurrency=2)
    if connection is not None:
        options = CheckOptions(timeout=LIMIT, connection=connection)
    results = await check_all(parse_targets([{"url": url} for url in urls]), options, LoopClock())
    assert not any(result.healthy for result in results)


async def call(
    url: str, connection: Connection, method: str = "GET", body: Body | None = None, total: float | None = None
) -> None:
    clock = LoopClock()
    breaker = CircuitBreaker(clock, failures=1000)
    async with connection.transport(parse_address(url), clock, breaker=breaker) as transport:
        await transport.request(method, "/x", body=body, idempotent=True, total=total)


def connection(**more: object) -> Connection:
    """Patient in all but the whole: many retries, and phases as long as all of them."""
    limits = Timeouts(connect=LIMIT, read=LIMIT, total=LIMIT)
    return Connection(timeouts=limits, retry=RetryPolicy(50), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("peer", PEERS)
def test_a_check_ends_in_its_time(peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(check_of(f"http://{where}"))

    assert run(measured()) <= IN_TIME


@pytest.mark.parametrize("peer", PEERS)
def test_a_call_ends_in_its_time_with_all_its_retries(peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(call(f"http://{where}", connection()))

    assert run(measured()) <= IN_TIME


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("service", ["postgresql", "redis"])
def test_a_probe_of_another_protocol_ends_in_its_time(service: str, peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(check_of(f"{service}://{where}"))

    assert run(measured()) <= IN_TIME


@pytest.mark.parametrize("peer", PEERS)
def test_a_call_through_a_proxy_ends_in_its_time(peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(call("http://core1:8080", connection(proxy=f"http://{where}")))

    assert run(measured()) <= IN_TIME


@pytest.mark.parametrize("peer", PEERS)
def test_a_login_takes_its_time_from_the_call(peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(call(f"http://{where}", connection(login=Login("admin", "password"))))

    assert run(measured()) <= IN_TIME


def test_a_call_with_a_time_of_its_own_takes_no_longer_for_the_login_before_it() -> None:
    async def measured() -> float:
        async with listening(silent) as where:
            return await seconds_of(call(f"http://{where}", connection(login=Login("admin", "password")), total=2))

    assert run(measured()) == pytest.approx(2)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("trusted", [True, False])
def test_the_same_over_tls(peer: str, trusted: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = TlsOptions(ca_path=str(authority.path) if trusted else None)

    async def measured() -> float:
        async with listening(PEERS[peer], authority.server(expired=not trusted)) as where:
            return await seconds_of(call(f"https://{where}", connection(tls=tls)))

    assert run(measured()) <= IN_TIME


@pytest.mark.parametrize("peer", ["silent", "1 byte/s of no HTTP"])
def test_a_handshake_that_does_not_come_to_an_end(peer: str) -> None:
    async def measured() -> float:
        async with listening(PEERS[peer]) as where:
            return await seconds_of(check_of(f"https://{where}"))

    assert run(measured()) <= IN_TIME


def test_what_greets_as_another_protocol_under_tls_is_known_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def failure() -> tuple[ClientError, float]:
        async with listening(saying_first(b"220 mail.example ESMTP\r\n"), authority.server()) as where:
            with pytest.raises(ClientError) as caught:
                await call(f"https://{where}", connection(tls=TlsOptions(ca_path=str(authority.path))))
        return caught.value, asyncio.get_running_loop().time()

    error, passed = run(failure())
    assert error.reason == "the answer is not HTTP (it begins '220 mail.example ESMTP\\r\\n')"
    assert passed == 0


def test_a_server_that_reads_nothing_of_a_large_body() -> None:
    body = Body("application/octet-stream", 64 << 20, lambda: iter([b" " * (1 << 20)] * 64))

    async def measured() -> float:
        async with listening(deaf) as where:
            return await seconds_of(call(f"http://{where}", connection(), "POST", body))

    assert run(measured()) == pytest.approx(LIMIT)


def test_a_body_that_is_slow_to_read_where_it_comes_from() -> None:
    async def measured() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)

        def parts() -> Iterator[bytes]:
            for _ in range(20):
                loop.passed += 1
                yield b" "

        async with listening(silent) as where:
            return await seconds_of(call(f"http://{where}", connection(), "POST", Body("text/plain", 20, parts)))

    assert run(measured()) == pytest.approx(LIMIT)


@pytest.mark.parametrize(
    ("limits", "tls", "peer", "reason", "transient"),
    [
        (Timeouts(1, 2, 5), False, silent, "no answer within 2 s (waiting for the first byte)", True),
        (Timeouts(1, 3, 2.5), False, silent, "no answer within 2.5 s (waiting for the first byte)", False),
        (Timeouts(1, 2, 2.5), False, silent, "no answer within 2 s (waiting for the first byte)", True),
        (Timeouts(1, 2, 5), True, silent, "no answer within 1 s (in the TLS handshake)", True),
        (
            Timeouts(1, 0.5, 5),
            False,
            PEERS["1 byte/s of a body"],
            "no answer within 0.5 s (while reading the body)",
            True,
        ),
    ],
)
def test_the_limit_that_ran_out_is_told(limits: Timeouts, tls: bool, peer: Peer, reason: str, transient: bool) -> None:
    async def failure() -> tuple[ClientError, float, str]:
        async with listening(peer) as where:
            address = parse_address(f"{'https' if tls else 'http'}://{where}")
            async with HttpTransport(address, timeouts=limits, retry=NO_RETRIES, clock=LoopClock()) as transport:
                with pytest.raises(ClientError) as caught:
                    await transport.get("/x")
            return caught.value, asyncio.get_running_loop().time(), address.url

    error, passed, url = run(failure())
    assert str(error) == f"GET {url}/x: {reason}. {NEXT_TIMEOUT}"
    assert (error.kind.value, error.transient) == ("timeout", transient)
    assert f"within {passed:g} s" in reason


def test_the_time_of_an_answer_is_that_of_its_own_attempt() -> None:
    async def elapsed() -> float:
        left = iter([answer(b"", b"503 Not now")])

        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.25678)
                writer.write(next(left, answer()))

        async with (
            listening(peer) as where,
            connection().transport(parse_address(f"http://{where}"), LoopClock()) as transport,
        ):
            return (await transport.get("/x")).elapsed_ms

    assert run(elapsed()) == 256.8


def test_what_another_dialect_runs_may_take_its_own_time() -> None:
    async def measured() -> float:
        async with listening(silent) as where:
            target = parse_targets([{"url": f"http://{where}"}])[0]
            async with connection().transport(target.address, LoopClock()) as transport:
                return await seconds_of(FlexCoreClient(target, transport).post_any("/run", {}, 3))

    assert run(measured()) == pytest.approx(3)


def test_a_check_whose_turn_does_not_come_is_told_apart_from_one_that_ran_out_of_time() -> None:
    async def checked() -> list[ServiceHealth]:
        async with listening(silent) as where:
            options = CheckOptions(timeout=1.0, deadline=1.5, concurrency=2)
            return await check_all(parse_targets([{"url": f"http://{where}"}] * 6), options, LoopClock())

    results = run(checked())
    assert [result.details["cause"] for result in results] == [
        *["no answer within 1 s (waiting for the first byte)"] * 2,
        *["no answer within 0.5 s (waiting for the first byte)"] * 2,
        *["its turn did not come within the deadline of 1.5 s"] * 2,
    ]
    assert [result.status.value for result in results] == ["UNHEALTHY"] * 4 + ["UNKNOWN"] * 2


@pytest.mark.parametrize(
    ("limit", "status", "cause"),
    [
        (None, "HEALTHY", None),
        (250.0, "HEALTHY", None),
        (249.5, "DEGRADED", "answered in 250 ms, allowed are 249.5 ms"),
    ],
)
def test_a_service_that_is_healthy_and_slow(limit: float | None, status: str, cause: str | None) -> None:
    async def checked() -> ServiceHealth:
        async with listening(saying(answer(), pause=0.25)) as where:
            targets = parse_targets([{"url": f"http://{where}"}], api="legacy-2025")
            return (await check_all(targets, CheckOptions(max_response_time_ms=limit), LoopClock()))[0]

    result = run(checked())
    assert (result.status.value, result.response_time_ms, result.details["cause"]) == (status, 250.0, cause)
    assert result.details["culprit"] == (None if limit != 249.5 else "flexcore")


def test_a_name_that_hangs_in_the_resolver() -> None:
    async def measured() -> float:
        await check_of("http://core1:8080")
        await check_of("redis://core1:6379")
        return asyncio.get_running_loop().time()

    assert run(measured()) == pytest.approx(2 * LIMIT)


def test_many_checks_end_with_the_deadline_of_all() -> None:
    async def measured() -> float:
        async with listening(silent) as where:
            return await seconds_of(check_of(*[f"http://{where}"] * 20, deadline=1.5 * LIMIT))

    assert run(measured()) == pytest.approx(1.5 * LIMIT)


def test_waiting_ends_with_the_look_that_was_under_way() -> None:
    async def measured() -> float:
        async with listening(silent) as where:
            target, clock = parse_targets([{"url": f"http://{where}"}])[0], LoopClock()

            async def look() -> bool:
                async with connection().transport(target.address, clock) as transport:
                    with contextlib.suppress(ClientError):
                        await FlexCoreClient(target, transport).dialect()
                return False

            return await seconds_of(wait_until(look, bool, timeout=7, interval=1, clock=clock))

    assert run(measured()) <= 7 + IN_TIME
