"""The audit trail before its database: groups, outages, what nobody waits for."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import pytest

from flexcore.application.audit import AuditOutcome, AuditPage, AuditQuery, AuditRecord, StampedRecord
from flexcore.application.audit_trail import LONGEST_TEXT, LOST_ACTION, MAX_KEPT, AuditTrail
from flexcore.domain.errors import Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Log:
    """Keeps batches, or fails."""

    def __init__(self) -> None:
        self.batches: list[list[StampedRecord]] = []
        self.repeats: list[bool] = []
        self.down = False

    @property
    def records(self) -> list[StampedRecord]:
        return [record for batch in self.batches for record in batch]

    async def append(self, records: Sequence[StampedRecord], *, again: bool = False) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL is away")
        self.batches.append(list(records))
        self.repeats.append(again)

    async def page(self, query: AuditQuery) -> AuditPage:
        raise NotImplementedError


def trail(log: Log) -> AuditTrail:
    numbers = count(1)
    return AuditTrail(
        log, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), new_id=lambda: str(next(numbers)), node_id="core1"
    )


def record(target: str = "/x", outcome: AuditOutcome = AuditOutcome.SUCCEEDED) -> AuditRecord:
    return AuditRecord(actor="ada", action="enablePlugin", target=target, outcome=outcome)


async def test_records_that_come_together_are_kept_together() -> None:
    log = Log()
    audit = trail(log)
    await asyncio.gather(*(audit.commit(record(f"/{number}")) for number in range(100)))
    assert [entry.target for entry in log.records] == [f"/{number}" for number in range(100)]
    assert len(log.batches) <= 2
    assert {entry.node_id for entry in log.records} == {"core1"}


async def test_a_record_that_is_not_safe_is_said_to_be_so_and_kept_later() -> None:
    log = Log()
    audit = trail(log)
    log.down = True
    with pytest.raises(Unavailable, match="the request was carried out, but its record"):
        await audit.commit(record("/lost?"))
    log.down = False
    await audit.close()
    assert ([entry.target for entry in log.records], log.repeats) == (["/lost?"], [True])


async def test_an_outage_costs_a_bounded_amount_of_memory_and_the_loss_is_told() -> None:
    log = Log()
    audit = trail(log)
    log.down = True
    for start in range(0, MAX_KEPT + 2000, 1000):
        attempts = [audit.commit(record(f"/{start + number}")) for number in range(1000)]
        await asyncio.gather(*attempts, return_exceptions=True)
    log.down = False
    await audit.close()
    kept = [entry for entry in log.records if entry.action != LOST_ACTION]
    assert (len(kept), kept[-1].target) == (MAX_KEPT, f"/{MAX_KEPT + 1999}")
    assert [entry.count for entry in log.records if entry.action == LOST_ACTION] == [2000]


async def test_refusals_are_brought_in_at_the_end_at_the_latest() -> None:
    log = Log()
    audit = trail(log)
    for _ in range(3):
        audit.record(record(outcome=AuditOutcome.REFUSED))
    assert log.records == []
    await audit.close()
    assert [(entry.outcome, entry.count) for entry in log.records] == [(AuditOutcome.REFUSED, 3)]


async def test_text_is_made_fit_to_be_kept_and_shown() -> None:
    log = Log()
    audit = trail(log)
    await audit.commit(record("/a\0b\n\u202ec\ud800"))
    await audit.commit(record("/" + "x" * 1000))
    first, second = log.records
    assert first.target == "/a�b��c�"
    assert len(second.target) == LONGEST_TEXT
    assert second.target.endswith("…")
