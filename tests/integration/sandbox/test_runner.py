"""The server's side and the supervisor together: what plugins get, and that nothing they do harms the server."""

import asyncio
import itertools
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import PluginCode, PluginRequest, PluginResult, ResourceUsage
from flexcore.domain.errors import ExecutionCancelled, ExecutionKilled, ExecutionTimedOut, PluginFailed
from flexcore.domain.manifest import Limits, Permissions, PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.broker import NetworkBroker
from flexcore.infrastructure.sandbox.control import Connect, Control
from flexcore.infrastructure.sandbox.emitter import EventEmitter
from flexcore.infrastructure.sandbox.execution import Services
from flexcore.infrastructure.sandbox.reaching import SandboxProcess, SandboxUnit
from flexcore.infrastructure.sandbox.runner import SandboxRunner
from flexcore.infrastructure.sandbox.secrets import PluginSecrets
from tests.integration.sandbox.supervised import SYSTEM_PYTHON, Supervisor
from tests.servers import wait_until
from tests.unit.application.doubles import Log
from tests.unit.sandbox.conftest import Trail

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PLUGIN = Path(__file__).with_name("plugins") / "misbehaving"


def code(permissions: Permissions = Permissions(), *, shell: bool = False, **limits: int) -> PluginCode:  # noqa: B008
    manifest = PluginManifest(
        id="misbehaving",
        name="Misbehaving",
        version="1",
        type="processor",
        description="Every bad habit",
        entry_point=None if shell else "misbehaving:Misbehaving",
        executable="shell" if shell else None,
        commands=(PluginCommand("raises", "Only names that are checked elsewhere"),),
        permissions=permissions,
        limits=Limits(**{"memory_mb": 256, "output_mb": 2, **limits}),
    )
    return PluginCode(manifest, f"misbehaving-{shell}", PLUGIN)


def request(
    operation: str,
    plugin: PluginCode | None = None,
    *,
    timeout_seconds: float = 20,
    execution_id: str = "execution-1",
    **data: Any,
) -> PluginRequest:
    return PluginRequest(execution_id, plugin or code(), operation, data, timeout_seconds, "correlation-1")


class Node:
    """A runner and what it needs."""

    def __init__(self, connect: Connect, credentials: Path | None = None, python: str = SYSTEM_PYTHON) -> None:
        numbers = itertools.count(1)
        self.log, self.trail, self.credentials = Log(), Trail(), credentials or Path("/nowhere")
        self.control = Control(connect)
        events = Events(self.log, lambda: f"event-{next(numbers)}")
        self.runner = SandboxRunner(
            self.control,
            Services(NetworkBroker(), EventEmitter(events, "node1"), self.trail),
            PluginSecrets(credentials),
            configuration={"misbehaving": {"colour": "blue"}},
            python=python,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Node"]:
        self.control.open()
        await self.control.connected(20)
        yield self
        await self.control.close()


@pytest.fixture
async def node(supervisor: Supervisor, tmp_path: Path) -> AsyncIterator[Node]:
    async with Node(SandboxUnit(supervisor.path).connect, tmp_path).running() as node:
        yield node


async def hanging(caplog: pytest.LogCaptureFixture, number: int = 1) -> None:
    """Wait until so many plugins hang."""
    async with asyncio.timeout(20):
        while caplog.messages.count("hanging") < number:  # noqa: ASYNC110 - the log is what tells
            await asyncio.sleep(0.01)


async def test_what_an_execution_finds(node: Node) -> None:
    result = await node.runner.run(request("circumstances"))
    assert result.data == {"execution_id": "execution-1", "configuration": {"colour": "blue"}}
    assert result.usage.cpu_ms is not None
    assert result.usage.peak_memory_bytes is not None
    assert 1 << 18 <= result.usage.peak_memory_bytes < 256 << 20


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("raises", "LookupError: no such customer"),
        ("exits", "SystemExit: 3"),
        ("exits_at_once", "it ended with exit code 3 without an answer"),
        ("returns_no_json", "it returned a value that is not JSON: Object of type object is not JSON serializable"),
        ("returns_nan", "it returned a value that is not JSON: Out of range float values are not JSON compliant"),
        ("no_such_method", "AttributeError: the class Misbehaving has no method 'no_such_method'"),
    ],
)
async def test_a_crash_says_why(node: Node, operation: str, why: str) -> None:
    with pytest.raises(PluginFailed) as caught:
        await node.runner.run(request(operation))
    assert str(caught.value).startswith(f"plugin 'misbehaving' failed in operation '{operation}': {why}")
    assert "Traceback" not in str(caught.value)


async def test_a_signal_is_named(node: Node) -> None:
    with pytest.raises((PluginFailed, ExecutionKilled), match="SIGSEGV"):
        await node.runner.run(request("dies_by_signal"))


async def test_a_refusal_is_an_answer(node: Node) -> None:
    assert await node.runner.run(request("refuses")) == PluginResult(False, {"error": "not today", "reason": "closed"})


@pytest.mark.parametrize("operation", ["hangs", "spins"])
async def test_the_time_limit_holds(node: Node, supervisor: Supervisor, operation: str) -> None:
    await node.runner.warm(code())
    before = supervisor.descendants()
    with pytest.raises(ExecutionTimedOut, match=f"operation '{operation}' was not done after 1 s"):
        await node.runner.run(request(operation, timeout_seconds=1))
    # One more may be the process that waits for the next execution.
    assert len(supervisor.descendants()) <= len(before) + 1, "its processes are gone when its end is told"


async def test_used_up_processor_time(node: Node) -> None:
    with pytest.raises(ExecutionKilled, match="it used up its 1 s of processor time") as caught:
        await node.runner.run(request("spins", code(cpu_seconds=1)))
    assert caught.value.usage.cpu_ms is not None
    assert caught.value.usage.cpu_ms > 800


async def test_cancelling_kills_the_plugin(
    node: Node, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    await node.runner.warm(code())
    before = supervisor.descendants()
    task = asyncio.create_task(node.runner.run(request("hangs")))
    await hanging(caplog)
    task.cancel()
    with pytest.raises(ExecutionCancelled):
        await task
    assert len(supervisor.descendants()) <= len(before) + 1


async def test_cancelling_in_mid_start_does_no_harm(node: Node) -> None:
    await node.runner.warm(code())
    for ticks in range(10):
        task = asyncio.create_task(node.runner.run(request("hangs", execution_id=f"e-{ticks}")))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises((ExecutionCancelled, asyncio.CancelledError)):
            await task
    assert (await node.runner.run(request("circumstances"))).success


async def test_a_thread_left_behind_does_not_delay_the_answer(node: Node) -> None:
    async with asyncio.timeout(10):
        assert (await node.runner.run(request("leaves_a_thread"))).success


async def test_an_answer_that_is_too_long_is_refused(node: Node) -> None:
    assert (await node.runner.run(request("answers_at_length", megabytes=1))).success
    with pytest.raises(ExecutionKilled, match="its answer is too long: a line is longer than 2097152 bytes"):
        await node.runner.run(request("answers_at_length", megabytes=50))


async def test_garbage_on_the_channel_is_no_answer(node: Node) -> None:
    with pytest.raises(PluginFailed, match="its answer is not usable"):
        await node.runner.run(request("writes_to_its_channel", text="nonsense\n"))


async def test_memory_is_bounded(node: Node) -> None:
    assert (await node.runner.run(request("takes_memory", megabytes=64))).success
    with pytest.raises(ExecutionKilled, match="it used more than 256 MiB of memory"):
        await node.runner.run(request("takes_memory", megabytes=1000))


async def test_a_large_request_goes_through(node: Node) -> None:
    result = await node.runner.run(request("big_input", text="ä" * (4 << 20)))
    assert result.data == {"length": 4 << 20}


async def test_what_a_plugin_prints_becomes_log_records(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="flexcore.plugin")
    assert await node.runner.run(request("prints")) == PluginResult(True, {})
    records = {record.getMessage(): record.levelname for record in caplog.records if "plugin" in record.name}
    assert records == {
        "to stdout": "INFO",
        "to stderr": "INFO",
        "a warning": "WARNING",
        "an error": "ERROR",
        "<9>no priority": "INFO",
        "half a line": "INFO",
    }


async def test_a_flood_of_log_lines_is_cut(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    await node.runner.run(request("shouts", lines=5000))
    assert len(caplog.messages) == 1001
    assert caplog.messages[-1] == "the plugin logged more than 1000 lines; the rest is dropped"


async def test_a_secret_reaches_the_plugin_and_nobody_else(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    (node.credentials / "plugin_secret_misbehaving_api_key").write_text("correct horse battery")
    caplog.set_level(logging.DEBUG)
    result = await node.runner.run(request("tells_its_secret", code(Permissions(secrets=("api_key",)))))
    assert result.data == {"secret": "***", "length": 21}
    assert "it is ***" in caplog.messages
    assert "correct horse" not in caplog.text
    with pytest.raises(PluginFailed, match="the secret 'api_key' is not set for this plugin"):
        await node.runner.run(request("tells_its_secret"))


async def test_connections_go_through_the_broker(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"hello from outside")

        serving = asyncio.create_task(asyncio.to_thread(serve))
        plugin = code(Permissions(network=(f"127.0.0.1:{port}",)))
        result = await node.runner.run(request("connects", plugin, ports=[port, 5432]))
        await serving
    error = "plugin 'misbehaving' has no permission to connect to 127.0.0.1:5432"
    assert result.data == ["hello from outside", error]
    assert [(record.action, record.target) for record in node.trail.records] == [("plugin.connect", "127.0.0.1:5432")]


async def test_events_are_recorded_for_it(node: Node) -> None:
    result = await node.runner.run(request("emits", code(Permissions(events=("Misbehaved",)))))
    assert result.data == {"positions": [1, 2, 3]}
    assert [event.data["number"] for event in node.log.events] == [0, 1, 2]


async def test_a_system_call_that_plugins_may_not_make_is_on_record(node: Node) -> None:
    result = await node.runner.run(request("makes_a_namespace"))
    assert result.data["failed"], result.data
    assert [(record.action, record.target) for record in node.trail.records] == [("plugin.system_call", "unshare")]


async def test_many_at_once(node: Node) -> None:
    results = await asyncio.gather(
        *(node.runner.run(request("big_input", text="x" * n, execution_id=str(n))) for n in range(60))
    )
    assert [result.data["length"] for result in results] == list(range(60))
    assert node.runner.usage("misbehaving") == ResourceUsage()


async def test_an_executable_speaks_for_itself(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    shell = code(shell=True)  # noqa: S604 - a plugin, and no shell of ours
    assert await node.runner.run(request("talks", shell)) == PluginResult(True, {"language": "sh"})
    assert sorted(caplog.messages) == ["over the channel", "to its log"]
    with pytest.raises(PluginFailed, match="it ended with exit code 3 without an answer"):
        await node.runner.run(request("exits", shell))
    with pytest.raises(PluginFailed, match="its answer is not usable: it wrote a line that is no message"):
        await node.runner.run(request("writes garbage", shell))


async def test_a_node_starts_a_supervisor_of_its_own_and_another_when_that_dies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="flexcore.plugin")
    process = SandboxProcess()
    async with Node(process.connect, python=sys.executable).running() as node:
        task = asyncio.create_task(node.runner.run(request("hangs")))
        await hanging(caplog)
        process._process.kill()
        with pytest.raises(ExecutionKilled, match="the connection to the sandbox supervisor is lost"):
            await task
        await node.control.connected(20)
        assert (await node.runner.run(request("circumstances"))).success
        child = process._process.pid
    await process.close()
    assert not alive(child)


SERVER = """
import asyncio, logging, sys
from tests.integration.sandbox.test_runner import Node, request
from flexcore.infrastructure.sandbox.reaching import SandboxProcess
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

async def serve():
    async with Node(SandboxProcess().connect, python=sys.executable).running() as node:
        await node.runner.run(request("hangs"))

asyncio.run(serve())
"""


def test_a_plugin_dies_with_a_server_that_is_killed() -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVER],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    with server.stdout as log:
        for line in log:
            if line == "hanging\n":
                break
        below = descendants(server.pid)
        assert len(below) > 1
        server.kill()
        server.wait()
        wait_until(lambda: not any(map(alive, below)), 10, "end of all that it started")


def descendants(pid: int) -> set[int]:
    found = [pid]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return set(found[1:])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
