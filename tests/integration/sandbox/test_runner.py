"""Plugins in child processes: what they get, and that nothing they do harms the server."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.ports import PluginCode, PluginRequest, PluginResult, ResourceUsage
from flexcore.domain.errors import ExecutionTimedOut, PluginFailed
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.runner import Limits, SubprocessRunner
from tests.servers import wait_until

pytestmark = pytest.mark.anyio

PLUGINS = Path(__file__).with_name("plugins")
MISBEHAVING = PluginManifest(
    id="misbehaving",
    name="Misbehaving",
    version="1",
    type="processor",
    description="Every bad habit",
    entry_point="misbehaving_plugin:Misbehaving",
    commands=(PluginCommand("raises", "Only names that are checked elsewhere"),),
)
CODE = PluginCode(MISBEHAVING, "digest", PLUGINS, (PLUGINS,))


@pytest.fixture
def runner() -> SubprocessRunner:
    return SubprocessRunner(
        configuration={"misbehaving": {"colour": "blue"}},
        limits=Limits(memory_bytes=400 << 20, answer_bytes=2 << 20),
    )


def request(
    operation: str, *, timeout_seconds: float = 20, execution_id: str = "execution-1", **data: Any
) -> PluginRequest:
    return PluginRequest(execution_id, CODE, operation, data, timeout_seconds, "correlation-1")


def children() -> set[int]:
    """What the thread of the event loop started."""
    pid = os.getpid()
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = children()
    yield
    wait_until(lambda: children() <= before, 5, "end of every process that the test started")


async def test_what_an_execution_finds(runner: SubprocessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXCORE_API_TOKEN", "secret")
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        result = await runner.run(request("circumstances"))
    finally:
        os.close(secret)
    found = result.data
    assert set(found["environment"]) <= {"LC_CTYPE"}, "Python sets this one itself"
    assert found["directory"] == "/"
    assert len(found["descriptors"]) == 4, "stdin, stdout, stderr and the answer's pipe"
    assert found["session"] == found["pid"]
    assert "secret" not in str(found["arguments"])
    assert found["open_files"] == [64, 64]
    assert found["core"] == [0, 0]
    assert found["configuration"] == {"colour": "blue"}
    assert found["execution_id"] == "execution-1"
    assert found["stdin"] == ""
    assert not {"asyncio", "msgspec", "dataclasses"} & set(found["modules"]), "each costs every execution time"


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("raises", "LookupError: no such customer"),
        ("exits", "SystemExit: 3"),
        ("exits_at_once", "it ended with exit code 3 without an answer"),
        ("dies_by_signal", "it was killed by SIGSEGV without an answer"),
        ("returns_no_json", "it returned a value that is not JSON: Object of type object is not JSON serializable"),
        ("returns_nan", "it returned a value that is not JSON: Out of range float values are not JSON compliant"),
        ("no_such_method", "AttributeError: 'Misbehaving' object has no attribute 'no_such_method'"),
        ("returns_half_a_character", "its answer is not usable"),
    ],
)
async def test_a_crash_says_why(runner: SubprocessRunner, operation: str, why: str) -> None:
    with pytest.raises(PluginFailed) as caught:
        await runner.run(request(operation))
    assert str(caught.value).startswith(f"plugin 'misbehaving' failed in operation '{operation}': {why}")
    assert caught.value.execution_id == "execution-1"
    assert "Traceback" not in str(caught.value)


async def test_a_refusal_is_an_answer(runner: SubprocessRunner) -> None:
    assert await runner.run(request("refuses")) == PluginResult(False, {"error": "not today", "reason": "closed"})


@pytest.mark.parametrize("operation", ["hangs", "ignores_signals", "spins"])
async def test_the_time_limit_holds(runner: SubprocessRunner, operation: str) -> None:
    start = time.monotonic()
    with pytest.raises(ExecutionTimedOut, match=f"operation '{operation}' was not done after 1 s"):
        await runner.run(request(operation, timeout_seconds=1))
    assert time.monotonic() - start < 5


async def test_the_time_limit_ends_what_the_plugin_started(
    runner: SubprocessRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ExecutionTimedOut):
        await runner.run(request("hangs_with_a_child", timeout_seconds=1))
    (line,) = [message for message in caplog.messages if message.startswith("child ")]
    wait_until(lambda: not alive(int(line.removeprefix("child "))), 5, "end of the plugin's own child")


async def test_a_child_left_behind_neither_delays_the_answer_nor_lives_on(runner: SubprocessRunner) -> None:
    result = await runner.run(request("leaves_a_child"))
    wait_until(lambda: not alive(result.data["pid"]), 5, "end of the child left behind")


async def test_a_thread_left_behind_does_not_delay_the_answer(runner: SubprocessRunner) -> None:
    async with asyncio.timeout(10):
        assert (await runner.run(request("leaves_a_thread"))).success


async def test_cancelling_kills_the_plugin(runner: SubprocessRunner) -> None:
    before = children()
    task = asyncio.create_task(runner.run(request("hangs")))
    await asyncio.to_thread(wait_until, lambda: children() > before, 5, "start of the plugin")
    (child,) = children() - before
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not alive(child)


async def test_cancelling_in_mid_start_leaves_no_process(runner: SubprocessRunner) -> None:
    before = children()
    for ticks in range(10):
        task = asyncio.create_task(runner.run(request("hangs")))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert children() == before


async def test_an_answer_that_is_too_long_is_refused(runner: SubprocessRunner) -> None:
    assert (await runner.run(request("answers_at_length", megabytes=1))).success
    with pytest.raises(PluginFailed, match="its answer is longer than 2097152 bytes"):
        await runner.run(request("answers_at_length", megabytes=50))


async def test_memory_is_bounded(runner: SubprocessRunner) -> None:
    assert (await runner.run(request("takes_memory", megabytes=100))).success
    with pytest.raises(PluginFailed, match="it ran out of memory"):
        await runner.run(request("takes_memory", megabytes=1000))


async def test_no_file_is_written(runner: SubprocessRunner, tmp_path: Path) -> None:
    with pytest.raises(PluginFailed, match="File too large"):
        await runner.run(request("writes_a_file", path=str(tmp_path / "file")))


async def test_a_large_request_goes_through(runner: SubprocessRunner) -> None:
    result = await runner.run(request("big_input", text="ä" * (4 << 20)))
    assert result.data == {"length": 4 << 20}


async def test_what_a_plugin_prints_becomes_log_records(
    runner: SubprocessRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="flexcore.plugin")
    seen: list[str | None] = []
    logger = logging.getLogger("flexcore.plugin.misbehaving")

    def see(_: logging.LogRecord) -> bool:
        seen.append(CORRELATION_ID.get())
        return True

    logger.addFilter(see)
    try:
        assert await runner.run(request("prints")) == PluginResult(True, {})
    finally:
        logger.removeFilter(see)
    records = {record.getMessage(): record for record in caplog.records if record.name == logger.name}
    assert {text: record.levelname for text, record in records.items()} == {
        "to stdout": "INFO",
        "to stderr": "INFO",
        "a warning": "WARNING",
        "an error": "ERROR",
        "<9>no priority": "INFO",
        "half a line": "INFO",
    }
    assert {record.execution_id for record in records.values()} == {"execution-1"}
    assert set(seen) == {"correlation-1"}
    assert CORRELATION_ID.get() is None


async def test_a_flood_of_log_lines_is_cut(runner: SubprocessRunner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    await runner.run(request("shouts", lines=5000))
    assert len(caplog.messages) == 1001
    assert caplog.messages[-1] == "the plugin logged more than 1000 lines; the rest is dropped"


async def test_a_long_log_line_is_cut(runner: SubprocessRunner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    await runner.run(request("shouts", lines=2, length=1_000_000))
    assert [len(message) for message in caplog.messages] == [4096, 4096]


async def test_usage_is_that_of_the_running_executions(runner: SubprocessRunner) -> None:
    assert runner.usage("misbehaving") == ResourceUsage()
    task = asyncio.create_task(runner.run(request("spins")))
    await asyncio.to_thread(
        wait_until, lambda: runner.usage("misbehaving").cpu_percent > 10, 10, "use of the processor"
    )
    assert 3 < runner.usage("misbehaving").memory_mb < 400
    assert runner.usage("another") == ResourceUsage()
    task.cancel()
    await asyncio.wait([task])
    assert runner.usage("misbehaving") == ResourceUsage()


async def test_connections_are_counted(runner: SubprocessRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(runner.run(request("connects", port=listener.getsockname()[1])))
        await asyncio.to_thread(
            wait_until, lambda: runner.usage("misbehaving").active_connections == 3, 10, "three connections"
        )
        task.cancel()
        await asyncio.wait([task])


async def test_many_at_once(runner: SubprocessRunner) -> None:
    results = await asyncio.gather(
        *(runner.run(request("big_input", text="x" * n, execution_id=str(n))) for n in range(40))
    )
    assert [result.data["length"] for result in results] == list(range(40))


SERVER = """
import asyncio, sys
from pathlib import Path
from tests.integration.sandbox.test_runner import request
from flexcore.infrastructure.sandbox.runner import SubprocessRunner
runner = SubprocessRunner()
asyncio.run(runner.run(request("hangs")))
"""


def test_a_plugin_dies_with_a_server_that_is_killed() -> None:
    root = Path(__file__).parents[3]
    server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=root, env={"PYTHONPATH": f"{root}/src:{root}"})
    listing = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    wait_until(lambda: bool(listing.read_text().split()), 20, "start of the plugin")
    (child,) = map(int, listing.read_text().split())
    # Only once it reads its request has it had the chance to tie its life to the server's.
    wait_until(lambda: "nanosleep" in Path(f"/proc/{child}/wchan").read_text(), 10, "the plugin sleeping")
    server.send_signal(signal.SIGKILL)
    server.wait()
    wait_until(lambda: not alive(child), 5, "end of the plugin")
