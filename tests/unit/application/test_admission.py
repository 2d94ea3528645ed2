"""Slots and the line before them: who gets in, in which order, and who is told to come back."""

import asyncio

import pytest

from flexcore.application.admission import Admission
from flexcore.domain.errors import TooBusy, Unavailable

pytestmark = pytest.mark.anyio


class Guest:
    """Somebody who holds a slot until told to go."""

    def __init__(self, admission: Admission, *, wait: bool = True) -> None:
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._visit(admission, wait))

    async def _visit(self, admission: Admission, wait: bool) -> None:
        async with admission.slot(wait=wait):
            self.inside.set()
            await self.go.wait()

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def guests(admission: Admission, number: int) -> list[Guest]:
    found = [Guest(admission) for _ in range(number)]
    await settled()
    return found


async def test_those_in_line_get_in_first_come_first() -> None:
    admission = Admission(node_id="n", slots=1, queue=2)
    first, second, third = await guests(admission, 3)
    assert (admission.active, admission.waiting, admission.free) == (1, 2, 0)
    await first.leave()
    await settled()
    assert (second.inside.is_set(), third.inside.is_set()) == (True, False)
    await second.leave()
    await third.inside.wait()
    await third.leave()
    assert (admission.active, admission.waiting, admission.free) == (0, 0, 1)


async def test_beyond_the_line_it_is_too_busy() -> None:
    admission = Admission(node_id="n", slots=1, queue=1)
    visitors = await guests(admission, 2)
    with pytest.raises(TooBusy, match="all 1 execution slots of node n are taken, and 1 more wait for one") as caught:
        async with admission.slot():
            pass
    assert caught.value.retry_after_seconds >= 1
    for visitor in visitors:
        await visitor.leave()


async def test_who_does_not_wait_is_told_at_once() -> None:
    admission = Admission(node_id="n", slots=1, queue=5)
    (visitor,) = await guests(admission, 1)
    with pytest.raises(TooBusy, match="all 1 execution slots of node n are taken; try again"):
        async with admission.slot(wait=False):
            pass
    await visitor.leave()


async def test_nobody_waits_for_ever() -> None:
    admission = Admission(node_id="n", slots=1, queue=5, queue_seconds=0.01)
    (visitor,) = await guests(admission, 1)
    with pytest.raises(TooBusy, match=r"none of the 1 execution slots of node n became free within 0\.01 s"):
        async with admission.slot():
            pass
    assert admission.waiting == 0
    await visitor.leave()
    assert admission.active == 0


async def test_a_slot_is_not_lost_with_somebody_who_leaves_the_line() -> None:
    admission = Admission(node_id="n", slots=1, queue=2)
    inside, leaving, patient = await guests(admission, 3)
    leaving.task.cancel()
    await asyncio.wait([leaving.task])
    assert admission.waiting == 1
    await inside.leave()
    await patient.inside.wait()
    await patient.leave()
    assert admission.active == 0


async def test_a_slot_is_not_lost_with_somebody_who_leaves_as_it_is_his_turn() -> None:
    admission = Admission(node_id="n", slots=1, queue=2)
    async with admission.slot():
        leaving, patient = await guests(admission, 2)
    assert admission.waiting == 1
    leaving.task.cancel()
    await asyncio.wait([leaving.task])
    assert leaving.task.cancelled()
    async with asyncio.timeout(5):
        await patient.inside.wait()
    await patient.leave()
    assert (admission.active, admission.waiting) == (0, 0)


async def test_a_drain_sends_the_line_away_and_waits_for_those_inside() -> None:
    admission = Admission(node_id="n", slots=1, queue=2)
    inside, *line = await guests(admission, 3)
    drained = asyncio.create_task(admission.drain(5))
    await settled()
    for visitor in line:
        with pytest.raises(Unavailable, match="node n is draining"):
            await visitor.task
    assert admission.draining
    assert not drained.done()
    await inside.leave()
    assert await drained


async def test_a_held_node_takes_nothing_until_it_is_let_go() -> None:
    reason: str | None = "node n is drained"
    admission = Admission(node_id="n", slots=2, held=lambda: reason)
    assert admission.draining
    assert admission.free == 0
    with pytest.raises(Unavailable, match="node n is drained; use another node"):
        async with admission.slot():
            pass
    reason = None
    assert admission.free == 2
    async with admission.slot():
        assert admission.active == 1


async def test_who_waited_until_the_node_was_held_is_sent_away() -> None:
    reason: str | None = None
    admission = Admission(node_id="n", slots=1, queue=1, held=lambda: reason)
    inside, waiting = await guests(admission, 2)
    reason = "node n is drained"
    await inside.leave()
    with pytest.raises(Unavailable, match="node n is drained"):
        await waiting.task
    assert admission.active == 0
