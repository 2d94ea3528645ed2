"""Commands: each has one handler, and each is done once."""

import asyncio
from dataclasses import dataclass

import pytest

from flexcore.application.command_bus import CommandBus, CommandLog, Outcome, Request
from flexcore.application.events import Events
from flexcore.domain.errors import Conflict, NotFound, VersionConflict
from flexcore.domain.events import NewEvent
from tests.unit.application.doubles import START, Log

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Add:
    """Put something into a box that holds one thing."""

    what: str


class Box:
    """A handler that judges by the present, as real ones do."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.commands = CommandLog(Events(log, lambda: f"id{len(log.events)}"), log, lambda: START)
        self.bus = CommandBus(self.commands)
        self.bus.register(Add, self.add)
        self.asked = 0

    async def add(self, command: Add, request: Request) -> Outcome:
        self.asked += 1
        await asyncio.sleep(0)
        if self.log.events:
            raise Conflict("the box is full")
        event = NewEvent("Added", "box", "Box", {"what": command.what}, request.metadata, 0)
        return await self.commands.record(request, "box", [event], facts={"place": 1})


def request(key: str | None = "command:1", fingerprint: str = "f") -> Request:
    return Request("c-1", "ann", key, fingerprint)


async def test_a_command_is_recorded_with_its_cause() -> None:
    box = Box(Log())
    outcome = await box.bus.send(Add("x"), request())
    (event,) = box.log.events
    assert event.metadata == {"correlation_id": "c-1", "user_id": "ann"}
    assert (outcome.aggregate_id, outcome.events, outcome.facts) == ("box", (event,), {"place": 1})
    assert not outcome.repeated


async def test_the_same_command_again_gives_the_first_outcome_also_on_another_node() -> None:
    log = Log()
    first = await Box(log).bus.send(Add("x"), request())
    other = Box(log)
    again = await other.bus.send(Add("x"), request())
    assert other.asked == 0
    assert again.repeated
    assert (again.events, again.facts, again.timestamp, again.execution_time_ms) == (
        first.events, first.facts, first.timestamp, first.execution_time_ms,
    )  # fmt: skip
    assert len(log.events) == 1


async def test_twins_at_the_same_time_get_the_same_outcome() -> None:
    log = Log()
    outcomes = await asyncio.gather(*(Box(log).bus.send(Add("x"), request()) for _ in range(5)))
    assert len(log.events) == 1
    assert all(outcome.events == tuple(log.events) for outcome in outcomes)


async def test_another_request_under_the_same_key_is_a_conflict() -> None:
    box = Box(Log())
    await box.bus.send(Add("x"), request())
    with pytest.raises(Conflict, match="used for another request"):
        await box.bus.send(Add("y"), request(fingerprint="g"))


async def test_a_command_without_a_key_is_done_each_time() -> None:
    box = Box(Log())
    await box.bus.send(Add("x"), request(key=None))
    with pytest.raises(Conflict, match="the box is full"):
        await box.bus.send(Add("x"), request(key=None))


async def test_a_refused_command_may_succeed_later_under_the_same_key() -> None:
    log = Log()
    box = Box(log)
    await box.bus.send(Add("x"), request("command:1"))
    with pytest.raises(Conflict, match="the box is full"):
        await box.bus.send(Add("x"), request("command:2"))
    log.events.clear()
    assert not (await box.bus.send(Add("x"), request("command:2"))).repeated


async def test_a_command_that_changes_nothing_is_remembered_if_it_has_a_key() -> None:
    log = Log()
    box = Box(log)
    assert (await box.commands.record(request(), "box", [])).events == ()
    assert (await box.bus.send(Add("x"), request())).repeated
    assert log.events == []
    before = len(log.receipts)
    await box.commands.record(request(key=None), "box", [])
    assert len(log.receipts) == before


async def test_failures_of_handlers_reach_the_caller() -> None:
    box = Box(Log())

    @dataclass(frozen=True)
    class Fail:
        error: Exception

    async def fail(command: Fail, _: Request) -> Outcome:
        raise command.error

    box.bus.register(Fail, fail)
    for error in (NotFound("a"), VersionConflict("b"), ValueError("c")):
        with pytest.raises(type(error)):
            await box.bus.send(Fail(error), request("command:9"))


def test_a_command_has_one_handler() -> None:
    box = Box(Log())
    with pytest.raises(ValueError, match="Add has a handler already"):
        box.bus.register(Add, box.add)
