"""What a sandboxed execution costs: against a plain process of Python, and one that bubblewrap confines alike.

All sides run the same plugin with the same interpreter and the same limits. A plain process is confined by its limits
alone, bubblewrap by namespaces, a root of read-only mounts, no capabilities and our own seccomp filter. Ours has the
same namespaces, Landlock and, where there are control groups, one for each execution. Run it as root: whoever is not
cannot read how much memory the sandboxed processes hold.
"""

import asyncio
import json
import os
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvloop

from tests.bench.figures import RUNS, in_turn, print_figure
from tests.bench.flexcore import served
from tests.bench.health_sampler import HealthSampler
from tests.bench.load import post_executions
from tests.bench.memory import proportional_megabytes
from tests.bench.sandbox_sides import Execute, bubblewrap, plain_process, sandbox
from tests.integration.server.flexcore_process import TOKEN

AT_ONCE = 100
SLEEP_SECONDS = 2.0
PLUGINS = "/api/v1/flexcore/plugins"

# How many executions each side does in one run: about a second of work.
IN_A_ROW = {"ours": 100, "plain_process": 30, "bubblewrap": 20}
TOGETHER = {"ours": 400, "plain_process": 100, "bubblewrap": 100}

Side = Callable[[], Awaitable[float]]


def run(work: Coroutine[Any, Any, None]) -> None:
    """On the event loop of the server."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


@asynccontextmanager
async def all_sides() -> AsyncIterator[dict[str, Execute]]:
    with bubblewrap() as confined:
        async with sandbox() as ours:
            yield {"ours": ours, "plain_process": plain_process, "bubblewrap": confined}


async def latency_ms(execute: Execute, module: str, executions: int) -> float:
    """Median of executions one after the other."""
    times = []
    for _ in range(executions):
        begun = time.perf_counter()
        assert await execute(module, "add", a=1, b=2) == {"sum": 3}
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


async def rate(execute: Execute, executions: int) -> float:
    """Executions per second with a hundred at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with slots:
            assert await execute("adder", "add", a=1, b=2) == {"sum": 3}

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(executions)))
    return executions / (time.perf_counter() - begun)


def print_absence() -> None:
    if shutil.which("nsjail") is None:
        print("# nsjail is not compared with: Debian does not package it", flush=True)  # noqa: T201 - as a figure is


def test_latency_and_rate() -> None:
    """One execution after the other, and a hundred at once."""

    async def measure() -> None:
        async with all_sides() as sides:
            for execute in sides.values():
                await latency_ms(execute, "adder", 3)
            latencies = await in_turn({name: _latency(sides[name], "adder", IN_A_ROW[name]) for name in sides}, RUNS)
            rates = await in_turn({name: _rate(sides[name], TOGETHER[name]) for name in sides}, RUNS)
        print_absence()
        for peer in ("bubblewrap", "plain_process"):
            _print("latency", latencies, peer, unit="ms", more_is_better=False)
        for peer in ("bubblewrap", "plain_process"):
            _print("rate_100", rates, peer, unit="executions/s", more_is_better=True)
        print_figure("p50", latencies["ours"], [5.0], unit="ms", peer_name="goal", more_is_better=False)

    run(measure())


def test_plugin_with_a_large_library() -> None:
    """A plugin that imports pyarrow: the first execution, and those that follow."""

    async def first_ms() -> float:
        async with sandbox() as ours:
            begun = time.perf_counter()
            assert await ours("arrow_adder", "add", a=1, b=2) == {"sum": 3}
            return (time.perf_counter() - begun) * 1000

    async def measure() -> None:
        cold = await in_turn({"ours": first_ms, "plain_process": _latency(plain_process, "arrow_adder", 1)}, RUNS)
        async with all_sides() as sides:
            await latency_ms(sides["ours"], "arrow_adder", 3)
            warm = await in_turn({name: _latency(sides[name], "arrow_adder", 5) for name in sides}, RUNS)
        _print("pyarrow_cold_start", cold, "plain_process", unit="ms", more_is_better=False)
        print_figure("pyarrow_cold_start", cold["ours"], [1000.0], unit="ms", peer_name="goal", more_is_better=False)
        for peer in ("bubblewrap", "plain_process"):
            _print("pyarrow_latency", warm, peer, unit="ms", more_is_better=False)

    run(measure())


def test_a_hundred_that_sleep() -> None:
    """A hundred executions of two seconds at once: how long until all are done, and what each holds in memory."""

    async def asleep(execute: Execute) -> tuple[float, float]:
        await execute("adder", "add", a=1, b=2)
        before = proportional_megabytes(os.getpid())
        begun = time.perf_counter()
        all_of_them = asyncio.gather(*(execute("adder", "sleep", seconds=SLEEP_SECONDS) for _ in range(AT_ONCE)))
        # Once all have begun and none has ended.
        await asyncio.sleep(SLEEP_SECONDS * 0.75)
        held = await asyncio.to_thread(proportional_megabytes, os.getpid())
        await all_of_them
        return time.perf_counter() - begun, (held - before) / AT_ONCE

    async def measure() -> None:
        walls: dict[str, list[float]] = {"ours": [], "bubblewrap": []}
        memory: dict[str, list[float]] = {"ours": [], "bubblewrap": []}
        async with all_sides() as sides:
            for _ in range(3):
                for name in walls:
                    wall, each = await asleep(sides[name])
                    walls[name].append(wall)
                    memory[name].append(each)
        _print("sleepers_100_wall", walls, "bubblewrap", unit="s", more_is_better=False)
        _print("sleepers_100_memory", memory, "bubblewrap", unit="MB_each", more_is_better=False)

    run(measure())


def test_through_http() -> None:
    """The same through the API of a server, and how its health answers meanwhile."""
    with served({"FLEXCORE_EXECUTION_SLOTS": "128"}) as process:
        execute = f"{process.url}{PLUGINS}/simple-processor/execute"
        with process.client() as client:
            _execute(client, "simple-processor", "uppercase", text="x")
        idle = HealthSampler(process.url, SLEEP_SECONDS).p95()
        one_by_one = [post_executions(execute, TOKEN, connections=1, seconds=2) for _ in range(RUNS)]
        together = [post_executions(execute, TOKEN, connections=AT_ONCE, seconds=2) for _ in range(RUNS)]
        walls, under_load = [], []
        for _ in range(3):
            sampler = HealthSampler(process.url, SLEEP_SECONDS * 1.25)
            walls.append(asyncio.run(_sleepers(process.url)))
            under_load.append(sampler.p95())
    plain = asyncio.run(_plain_latencies())
    print_figure(
        "http_latency_vs_plain_process",
        [measured.p50_ms for measured in one_by_one],
        plain,
        unit="ms",
        peer_name="plain_process",
        more_is_better=False,
    )
    rates = [measured.rate for measured in together]
    print_figure("http_rate_100", rates, [100.0], unit="executions/s", peer_name="goal", more_is_better=True)
    print_figure("http_sleepers_100_wall", walls, [2.5], unit="s", peer_name="goal", more_is_better=False)
    print_figure("health_p95_meanwhile", under_load, [20.0], unit="ms", peer_name="goal", more_is_better=False)
    print_figure("health_p95_meanwhile", under_load, [idle], unit="ms", peer_name="idle", more_is_better=False)


async def _plain_latencies() -> list[float]:
    return [await latency_ms(plain_process, "adder", IN_A_ROW["plain_process"]) for _ in range(RUNS)]


async def _sleepers(url: str) -> float:
    """Have a hundred executions sleep at once; gives how long it takes until all are answered, in seconds.

    Each request is made before the clock starts, and sent over a connection of its own by hardly more than the event
    loop: a client library would take more of the processor than is left by the server that is measured.
    """
    address = urlsplit(url)
    body = json.dumps({"operation": "wait", "parameters": {"data": {"seconds": SLEEP_SECONDS}}})
    head = (
        f"POST {PLUGINS}/simple-processor/execute HTTP/1.1",
        f"host: {address.netloc}",
        f"authorization: Bearer {TOKEN}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    )
    request = "\r\n".join((*head, "", body)).encode()

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    begun = time.perf_counter()
    answers = await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    wall = time.perf_counter() - begun
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    return wall


def _execute(client: httpx.Client, plugin: str, operation: str, **data: Any) -> None:
    body = {"operation": operation, "parameters": {"data": data}}
    client.post(f"{PLUGINS}/{plugin}/execute", json=body).raise_for_status()


def _latency(execute: Execute, module: str, executions: int) -> Side:
    return lambda: latency_ms(execute, module, executions)


def _rate(execute: Execute, executions: int) -> Side:
    return lambda: rate(execute, executions)


def _print(name: str, figures: dict[str, list[float]], peer: str, *, unit: str, more_is_better: bool) -> None:
    print_figure(
        f"{name}_vs_{peer}", figures["ours"], figures[peer], unit=unit, peer_name=peer, more_is_better=more_is_better
    )
