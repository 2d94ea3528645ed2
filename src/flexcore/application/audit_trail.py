"""Brings records into the audit trail: those that somebody waits for at once and in groups, the others in passing."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from flexcore.application.audit import AuditLog, AuditOutcome, AuditRecord, StampedRecord
from flexcore.application.audit_tally import RefusalTally
from flexcore.application.background import Background
from flexcore.application.ports import Clock, NewId
from flexcore.domain.errors import Unavailable

MAX_BATCH: Final = 1000
"""Records in one transaction."""
MAX_KEPT: Final = 10_000
"""Records that are kept in memory for a database that does not answer; beyond them the oldest are lost."""
LOST_ACTION: Final = "lost"
LOOK_SECONDS: Final = 1.0
LONGEST_TEXT: Final = 256

_logger = logging.getLogger("flexcore.audit")


class AuditTrail:
    """The port `Audit`, before an `AuditLog`."""

    def __init__(self, log: AuditLog, *, clock: Clock, new_id: NewId, node_id: str) -> None:
        self._log = log
        self._clock = clock
        self._new_id = new_id
        self._node_id = node_id
        self._tally = RefusalTally()
        self._waiting: deque[tuple[StampedRecord, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._kept: deque[StampedRecord] = deque()
        self._lost = 0
        self._background = Background()

    def start(self) -> None:
        """Begin to bring in what nobody waits for."""
        self._background.run("audit trail", self._keep_flushing)

    async def close(self) -> None:
        """Bring in what is left, if the database takes it."""
        await self._background.close()
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        self._keep(self.stamp(record) for record in self._tally.close())
        try:
            await self._flush()
        except Unavailable as error:
            _logger.warning("%d audit records are lost: %s", len(self._kept), error)

    def record(self, record: AuditRecord) -> None:
        """Count a record in; it is kept within seconds."""
        self._tally.add(record)

    async def commit(self, record: AuditRecord) -> None:
        """Keep a record durably; raises Unavailable, and then tries on by itself."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((self.stamp(record), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="audit-commit")
        await done

    def stamp(self, record: AuditRecord) -> StampedRecord:
        """Make a record ready to be kept."""
        return StampedRecord(
            self._new_id(),
            self._node_id,
            record.at or self._clock(),
            _text(record.actor),
            record.action,
            _text(record.target),
            record.outcome,
            _text(record.detail),
            record.source,
            record.correlation_id,
            record.count,
        )

    async def _write(self) -> None:
        batch: list[tuple[StampedRecord, asyncio.Future[None]]] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
                await self._write_batch(batch)
        except Exception as error:
            for _, done in (*batch, *self._waiting):
                if not done.done():
                    done.set_exception(error)
            self._waiting.clear()
            raise
        finally:
            self._writing = None

    async def _write_batch(self, batch: list[tuple[StampedRecord, asyncio.Future[None]]]) -> None:
        try:
            await self._log.append([record for record, _ in batch])
        except Unavailable as error:
            self._keep(record for record, _ in batch)
            for _, done in batch:
                if not done.done():
                    done.set_exception(
                        Unavailable(
                            error.service,
                            f"the request was carried out, but its record in the audit trail is not safe yet: {error}",
                        )
                    )
            return
        for _, done in batch:
            if not done.done():
                done.set_result(None)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._keep(self.stamp(record) for record in self._tally.due(time.monotonic()))
            try:
                await self._flush()
            except Unavailable:
                # Whoever changes something is told; what is kept here waits.
                continue

    async def _flush(self) -> None:
        while self._kept:
            batch = [self._kept.popleft() for _ in range(min(len(self._kept), MAX_BATCH))]
            try:
                await self._log.append(batch, again=True)
            except BaseException:
                self._kept.extendleft(reversed(batch))
                raise
            if self._lost:
                self._kept.append(self._loss())

    def _keep(self, records: Iterable[StampedRecord]) -> None:
        self._kept.extend(records)
        while len(self._kept) > MAX_KEPT:
            self._kept.popleft()
            self._lost += 1

    def _loss(self) -> StampedRecord:
        lost, self._lost = self._lost, 0
        _logger.error("%d audit records were lost while the database did not answer", lost)
        return self.stamp(
            AuditRecord(
                actor=self._node_id,
                action=LOST_ACTION,
                target="",
                outcome=AuditOutcome.FAILED,
                detail="records that were lost because the database did not take them for too long",
                count=lost,
            )
        )


def _text(text: str) -> str:
    """Make `text` fit to be kept and shown."""
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
