"""What the server makes of what comes back from a sandbox, whatever that is."""

import asyncio
import logging
import socket
import threading
import tracemalloc
from pathlib import Path

import pytest

from flexcore.application.audit import AuditOutcome
from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.ports import PluginResult, ResourceUsage
from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionKilled,
    ExecutionTimedOut,
    PluginFailed,
    Unavailable,
)
from flexcore.domain.manifest import Limits, Permissions
from flexcore.domain.usage import ExecutionUsage
from flexcore.infrastructure.sandbox import runner as runner_module
from flexcore.infrastructure.sandbox.execution import MOST_REFUSALS
from flexcore.infrastructure.sandbox.messages import Ended, Refused
from tests.doubles.sandbox_double import Child
from tests.unit.sandbox.conftest import Node, code, request

pytestmark = pytest.mark.anyio

SECRET = "hunter2hunter2"


def answer(child: Child) -> None:
    child.say(type="result", success=True, data={"done": 1})


def sleep(child: Child) -> None:
    child.hear()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def reached(node: Node) -> None:
    """Wait until an execution has started."""
    async with asyncio.timeout(10):
        while not node.sandbox._children:  # noqa: ASYNC110 - it is filled by a thread
            await asyncio.sleep(0.005)


async def test_an_execution_is_told_what_to_do_and_its_answer_comes_back(node: Node) -> None:
    seen = {}

    def see(child: Child) -> None:
        seen.update(child.run)
        answer(child)

    node.sandbox.behaviours = {"greet": see}
    result = await node.runner.run(request("greet", data={"name": "Ann"}, timeout_seconds=7))
    assert result == PluginResult(True, {"done": 1})
    assert result.usage == ExecutionUsage(cpu_ms=2, peak_memory_bytes=3 << 20)
    assert seen == {
        "type": "run",
        "execution_id": "e-1",
        "operation": "greet",
        "data": {"name": "Ann"},
        "configuration": {"tone": "warm"},
        "secrets": {},
        "correlation_id": "c-1",
    }
    (start,) = node.sandbox.started
    assert (start.wall_seconds, start.plugin.key, start.plugin.search_path) == (7, "d" * 64, ("/more",))
    assert "Ann" not in str(start), "the supervisor sees no parameters"


async def test_the_manifest_bounds_the_time_too(node: Node) -> None:
    node.sandbox.behaviours = {"greet": answer}
    await node.runner.run(request("greet", code(limits=Limits(wall_seconds=3))))
    assert node.sandbox.started[0].wall_seconds == 3


async def test_an_answer_needs_no_end_of_its_line(node: Node) -> None:
    node.sandbox.behaviours = {"greet": lambda child: child.write(b'{"type":"result","success":false,"data":"no"}')}
    assert await node.runner.run(request("greet")) == PluginResult(False, "no")


async def test_a_large_request_goes_through(node: Node) -> None:
    def measure(child: Child) -> None:
        child.say(type="result", success=True, data=len(child.run["data"]["text"]))

    node.sandbox.behaviours = {"greet": measure}
    result = await node.runner.run(request("greet", data={"text": "x" * (8 << 20)}))
    assert result.data == 8 << 20


async def test_the_first_answer_counts(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    def answer_often(child: Child) -> None:
        for number in range(5):
            child.say(type="result", success=True, data=number)

    node.sandbox.behaviours = {"greet": answer_often}
    with caplog.at_level(logging.WARNING, logger="flexcore.plugin"):
        assert await node.runner.run(request("greet")) == PluginResult(True, 0)
    assert caplog.messages == ["the plugin went on after its answer; that is ignored"]


async def test_a_child_that_does_not_end_after_its_answer_is_killed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LINGER_SECONDS", 0.01)

    def answer_and_stay(child: Child) -> None:
        answer(child)
        child.hear()

    node.sandbox.behaviours = {"greet": answer_and_stay}
    assert (await node.runner.run(request("greet"))).success
    assert node.sandbox.killed == ["e-1"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello\n", "it wrote a line that is no message: JSON is malformed"),
        (b"\xff\xfe\n", "it wrote a line that is no message"),
        (b'{"type":"order"}\n', "it wrote a line that is no message: Invalid value 'order'"),
        (b'{"type":"result","success":"yes"}\n', r"Expected `bool`, got `str` - at `\$.success`"),
        (b"[" * 100_000 + b"\n", "it wrote a line that is no message"),
        (b'{"type":"result","success":true,"data":' + b"[" * 900 + b"]" * 900 + b"}\n", None),
    ],
)
async def test_garbage_is_no_answer(node: Node, content: bytes, why: str | None) -> None:
    def write(child: Child) -> None:
        child.write(content)
        child.hear()

    node.sandbox.behaviours = {"greet": write}
    if why is None:
        assert (await node.runner.run(request("greet"))).success
    else:
        with pytest.raises(PluginFailed, match=why):
            await node.runner.run(request("greet"))
    assert node.sandbox.killed == ["e-1"]


async def test_an_answer_of_a_gigabyte_is_not_read(node: Node) -> None:
    def answer_at_length(child: Child) -> None:
        child.write(b'{"type":"result","success":true,"data":"')
        for _ in range(1024):
            child.write(b"x" * (1 << 20))

    node.sandbox.behaviours = {"greet": answer_at_length}
    tracemalloc.start()
    try:
        with pytest.raises(ExecutionKilled, match="its answer is too long: a line is longer than 1048576 bytes"):
            await node.runner.run(request("greet"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert node.sandbox.killed == ["e-1"]


async def test_endless_log_lines_are_cut_and_take_no_memory(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    def shout(child: Child) -> None:
        for number in range(3000):
            child.say(type="log", level="warning", message=f"{number}")
        answer(child)

    node.sandbox.behaviours = {"greet": shout}
    with caplog.at_level(logging.INFO, logger="flexcore.plugin"):
        assert (await node.runner.run(request("greet"))).success
    assert len(caplog.messages) == 1001
    assert caplog.messages[-1] == "the plugin logged more than 1000 lines; the rest is dropped"


async def test_what_is_printed_becomes_log_records_as_it_comes(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    printed, seen = threading.Event(), []
    logger = logging.getLogger("flexcore.plugin.greeter")

    def see(record: logging.LogRecord) -> bool:
        seen.append(CORRELATION_ID.get())
        if record.getMessage() == "first":
            printed.set()
        return True

    def talk(child: Child) -> None:
        child.print(b"first\n")
        assert printed.wait(10), "the line is relayed while the plugin runs"
        child.print(b"<3>an error\n<9>no priority\n\n" + b"x" * 9000 + b"\nhalf a line")
        child.say(type="log", level="debug", message="over the channel")
        answer(child)

    node.sandbox.behaviours = {"greet": talk}
    logger.addFilter(see)
    try:
        with caplog.at_level(logging.DEBUG, logger="flexcore.plugin"):
            await node.runner.run(request("greet"))
    finally:
        logger.removeFilter(see)
    assert {record.getMessage(): record.levelname for record in caplog.records if record.name == logger.name} == {
        "first": "INFO",
        "an error": "ERROR",
        "<9>no priority": "INFO",
        "x" * 4096: "INFO",
        "half a line": "INFO",
        "over the channel": "DEBUG",
    }
    assert set(seen) == {"c-1"}
    assert {(record.plugin_id, record.execution_id) for record in caplog.records if record.name == logger.name} == {
        ("greeter", "e-1")
    }


@pytest.mark.parametrize(
    ("end", "error", "why"),
    [
        (Ended(execution_id="", how="exited", exit_code=3), PluginFailed, "ended with exit code 3 without an answer"),
        (Ended(execution_id="", how="signalled", signal=11), PluginFailed, "was ended by SIGSEGV without an answer"),
        (Ended(execution_id="", how="signalled", signal=24), ExecutionKilled, "used up its 60 s of processor time"),
        (Ended(execution_id="", how="signalled", signal=25), ExecutionKilled, "wrote a file larger than 16 MiB"),
        (Ended(execution_id="", how="signalled", signal=9), ExecutionKilled, "something outside of FlexCore killed it"),
        (Ended(execution_id="", how="out_of_memory"), ExecutionKilled, "used more than 512 MiB of memory"),
        (Ended(execution_id="", how="killed", error="it filled its disk"), ExecutionKilled, "it filled its disk"),
        (Ended(execution_id="", how="timed_out"), ExecutionTimedOut, "'greet' was not done after 20 s"),
        (
            Ended(execution_id="", how="not_started", error="No module named 'greeter'"),
            PluginFailed,
            "could not be started: No module named 'greeter'",
        ),
    ],
)
async def test_an_end_without_an_answer_says_why(node: Node, end: Ended, error: type[Exception], why: str) -> None:
    node.sandbox.behaviours = {"greet": lambda _: end}
    with pytest.raises(error, match=why) as caught:
        await node.runner.run(request("greet"))
    assert caught.value.execution_id == "e-1"


@pytest.mark.parametrize(
    ("crash", "error", "why"),
    [
        ({"error": "LookupError: no"}, PluginFailed, "failed in operation 'greet': LookupError: no"),
        ({"error": "x", "out_of_memory": True}, ExecutionKilled, "used more than 512 MiB of memory"),
    ],
)
async def test_a_crash_says_why(node: Node, crash: dict[str, object], error: type[Exception], why: str) -> None:
    node.sandbox.behaviours = {"greet": lambda child: child.say(type="crashed", **crash)}
    with pytest.raises(error, match=why) as caught:
        await node.runner.run(request("greet"))
    assert caught.value.usage.cpu_ms == 2


async def test_cancelling_kills_it_and_an_answer_comes_too_late(node: Node) -> None:
    def answer_when_killed(child: Child) -> None:
        child.lines.readline()
        answer(child)

    node.sandbox.behaviours = {"greet": answer_when_killed}
    task = node.start("greet")
    await reached(node)
    assert node.runner.usage("greeter") == ResourceUsage()
    task.cancel()
    with pytest.raises(ExecutionCancelled, match="execution e-1 of plugin 'greeter' was cancelled"):
        await task
    assert node.sandbox.killed == ["e-1"]


async def test_a_supervisor_that_tells_of_no_end_holds_nobody_up(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "GRACE_SECONDS", 0.01)
    node.sandbox.behaviours = {"greet": sleep}
    node.sandbox.tell = lambda _: None
    with pytest.raises(ExecutionKilled, match="the sandbox supervisor does not tell of its end"):
        await node.runner.run(request("greet", timeout_seconds=0.01))


async def test_what_runs_ends_with_the_connection_and_the_next_finds_a_new_one(node: Node) -> None:
    node.sandbox.behaviours = {"greet": sleep}
    task = node.start("greet")
    await reached(node)
    node.sandbox.hang_up()
    with pytest.raises(ExecutionKilled, match="the connection to the sandbox supervisor is lost"):
        await task
    await node.control.connected(10)
    node.sandbox.behaviours = {"greet": answer}
    assert (await node.runner.run(request("greet", execution_id="e-2"))).success


async def test_without_a_supervisor_nothing_begins(node: Node) -> None:
    node.sandbox.down = True
    node.sandbox.hang_up()
    async with asyncio.timeout(10):
        while "refused" not in (node.control.problem or ""):  # noqa: ASYNC110 - it is the connection that is looked at
            await asyncio.sleep(0.005)
    before = open_files()
    with pytest.raises(Unavailable, match="the sandbox supervisor is away: Connection refused"):
        node.runner.check(code())
    with pytest.raises(Unavailable):
        await node.runner.run(request("greet"))
    assert open_files() == before


async def test_nothing_is_left_open(node: Node) -> None:
    node.sandbox.behaviours = {"greet": answer}
    await node.runner.run(request("greet"))
    before = open_files()
    for _ in range(20):
        await node.runner.run(request("greet"))
    async with asyncio.timeout(10):
        while open_files() > before:  # noqa: ASYNC110 - the threads close theirs a moment later
            await asyncio.sleep(0.005)


async def test_many_at_once(node: Node) -> None:
    def echo(child: Child) -> None:
        child.say(type="result", success=True, data=child.run["execution_id"])

    node.sandbox.behaviours = {"greet": echo}
    results = await asyncio.gather(*(node.runner.run(request("greet", execution_id=str(n))) for n in range(50)))
    assert [result.data for result in results] == [str(n) for n in range(50)]


def secret(node: Node, value: str = SECRET, name: str = "api_key") -> None:
    (node.credentials / f"plugin_secret_greeter_{name}").write_text(value + "\n")


NEEDS_A_SECRET = code(Permissions(secrets=("api_key",), events=("Greeted",)))


async def test_a_secret_reaches_only_the_child_and_is_blotted_out_everywhere(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    secret(node)
    (node.credentials / "plugin_secret_other_api_key").write_text("of another plugin")
    seen = {}

    def leak(child: Child) -> None:
        seen.update(child.run["secrets"])
        child.print(b"it is hunter2hunter2\n" + b"x" * 4090 + b"hunter2hunter2\n")
        child.say(type="log", message="it is hunter2hunter2")
        child.ask(type="emit", event_type="Greeted", aggregate_id="hunter2hunter2", data={"it": ["hunter2hunter2"]})
        child.connect("hunter2hunter2", 1)
        child.say(type="result", success=True, data={"hunter2hunter2": ["is", {"it": "hunter2hunter2!"}]})

    node.sandbox.behaviours = {"greet": leak}
    with caplog.at_level(logging.DEBUG):
        result = await node.runner.run(request("greet", NEEDS_A_SECRET))
    assert seen == {"api_key": SECRET}
    assert result.data == {"***": ["is", {"it": "***!"}]}
    assert len(node.log.events) == len(node.trail.records) == 1
    everything = [*caplog.messages, str(node.log.events), str(node.trail.records), str(node.sandbox.started)]
    assert not any("hunter" in text for text in everything)


async def test_an_answer_too_large_to_be_blotted_out_is_given_to_nobody(node: Node) -> None:
    secret(node)
    answer = {"keys": [SECRET], "rows": [[]] * 200_000}
    node.sandbox.behaviours = {"greet": lambda child: child.say(type="result", success=True, data=answer)}
    with pytest.raises(PluginFailed, match="its answer is not usable: it holds a secret") as caught:
        await node.runner.run(request("greet", NEEDS_A_SECRET))
    assert SECRET not in str(caught.value)


async def test_a_secret_in_an_exception_is_blotted_out(node: Node) -> None:
    secret(node)
    node.sandbox.behaviours = {"greet": lambda child: child.say(type="crashed", error=f"bad key {SECRET}")}
    with pytest.raises(PluginFailed, match=r"bad key \*\*\*$"):
        await node.runner.run(request("greet", NEEDS_A_SECRET))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "needs the secret 'api_key', and this node has none; give it as the systemd credential plugin_secret_"),
        ("short", "has fewer than 8 characters"),
    ],
)
async def test_without_its_secret_a_plugin_is_not_begun(node: Node, value: str | None, why: str) -> None:
    if value is not None:
        secret(node, value)
    for _ in range(2):
        with pytest.raises(Conflict, match=why):
            node.runner.check(NEEDS_A_SECRET)
        with pytest.raises(Conflict, match=why):
            await node.runner.run(request("greet", NEEDS_A_SECRET))
    assert node.sandbox.started == []


async def test_a_permitted_connection_is_handed_over(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def fetch(child: Child) -> None:
            reply, connection = child.connect("127.0.0.1", port)
            assert reply == {"type": "connected"}
            with connection:
                assert connection.getpeername() == ("127.0.0.1", port)
                child.say(type="result", success=True, data=connection.recv(100).decode())

        node.sandbox.behaviours = {"greet": fetch}
        task = node.start("greet", code(Permissions(network=(f"127.0.0.1:{port}",))))
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            assert node.runner.usage("greeter").active_connections == 1
            accepted.sendall(b"through the broker")
            assert (await task).data == "through the broker"
    assert node.trail.records == []


async def test_a_connection_that_is_not_permitted_is_refused_and_on_record(node: Node) -> None:
    def try_it(child: Child) -> None:
        reply, connection = child.connect("db.example.com", 5432)
        assert connection is None
        child.say(type="result", success=True, data=reply)

    node.sandbox.behaviours = {"greet": try_it}
    error = "plugin 'greeter' has no permission to connect to db.example.com:5432"
    assert (await node.runner.run(request("greet"))).data == {"type": "refused", "error": error}
    (record,) = node.trail.records
    assert (record.actor, record.action, record.target) == ("plugin:greeter", "plugin.connect", "db.example.com:5432")
    assert (record.outcome, record.detail, record.correlation_id) == (AuditOutcome.REFUSED, error, "c-1")


async def test_who_asks_on_and_on_for_what_it_may_not_have_is_killed(node: Node) -> None:
    def scan(child: Child) -> None:
        for port in range(1, 65536):
            child.connect("127.0.0.1", port)

    node.sandbox.behaviours = {"greet": scan}
    with pytest.raises(ExecutionKilled, match=f"it asked {MOST_REFUSALS} times for what it may not have"):
        await node.runner.run(request("greet"))
    assert len(node.trail.records) == MOST_REFUSALS


async def test_events_are_recorded_in_the_name_of_the_plugin(node: Node) -> None:
    replies = []

    def emit(child: Child) -> None:
        replies.append(child.ask(type="emit", event_type="Greeted", aggregate_id="ann", data={"times": 1}))
        replies.append(child.ask(type="emit", event_type="PluginRemoved", aggregate_id="x", data={}))
        replies.append(child.ask(type="emit", event_type="Greeted", aggregate_id="ann", data=[1]))
        replies.append(child.ask(type="emit", event_type="Greeted", aggregate_id="ann", data={"x": "x" * 70000}))
        answer(child)

    node.sandbox.behaviours = {"greet": emit}
    await node.runner.run(request("greet", code(Permissions(events=("Greeted", "PluginRemoved")))))
    (event,) = node.log.events
    assert (event.type, event.aggregate_type, event.aggregate_id) == ("Greeted", "plugin.greeter", "ann")
    assert event.data == {"times": 1}
    assert event.metadata == {
        "correlation_id": "c-1",
        "node_id": "node1",
        "plugin_id": "greeter",
        "execution_id": "e-1",
    }
    assert [reply["type"] for reply in replies] == ["emitted", "refused", "refused", "refused"]
    assert replies[0]["position"] == 1
    assert replies[3]["error"].startswith("the data of an event is at most 65536 bytes")
    assert [(record.action, record.target) for record in node.trail.records] == [("plugin.emit", "PluginRemoved")]


async def test_an_event_log_that_is_away_is_told_to_the_plugin(node: Node) -> None:
    node.log.down = True

    def emit(child: Child) -> None:
        reply = child.ask(type="emit", event_type="Greeted", aggregate_id="ann", data={})
        child.say(type="result", success=False, data=reply["error"])

    node.sandbox.behaviours = {"greet": emit}
    result = await node.runner.run(request("greet", code(Permissions(events=("Greeted",)))))
    assert result.data == "the event could not be recorded: PostgreSQL refuses connections"


async def test_refused_system_calls_are_on_record(node: Node) -> None:
    refused = (Refused(syscall="ptrace", count=3), Refused(syscall="bpf", count=1))

    def try_them(child: Child) -> Ended:
        answer(child)
        return Ended(execution_id="", how="exited", exit_code=0, refused=refused)

    node.sandbox.behaviours = {"greet": try_them}
    await node.runner.run(request("greet"))
    assert [(record.action, record.target, record.count) for record in node.trail.records] == [
        ("plugin.system_call", "ptrace", 3),
        ("plugin.system_call", "bpf", 1),
    ]


async def test_what_an_import_tried_is_on_record(node: Node) -> None:
    node.sandbox.warm_refused = (Refused(syscall="ptrace", count=2),)
    await node.runner.warm(code())
    (record,) = node.trail.records
    assert (record.actor, record.target, record.count) == ("plugin:greeter", "ptrace", 2)
    assert record.detail == "plugins may not make it; it tried while it was imported"


async def test_a_version_is_made_ready_and_let_go(node: Node) -> None:
    await node.runner.warm(code())
    node.sandbox.warm_error = "ImportError: no"
    with pytest.raises(PluginFailed, match=r"plugin 'greeter' 1\.0 can't be run: ImportError: no"):
        await node.runner.warm(code())
    await node.runner.retire(code())
    async with asyncio.timeout(10):
        while not node.sandbox.retired:  # noqa: ASYNC110 - it is filled by a thread
            await asyncio.sleep(0.005)
    assert node.sandbox.retired == ["d" * 64]
