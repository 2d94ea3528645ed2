"""What operators run beside the server, each in a process of its own: migrating, verifying, rebuilding."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import uvloop

from flexcore.application.verification import AUDIT_TRAIL, Verification, Verifier
from flexcore.infrastructure.checkpoints import NoCheckpoints
from flexcore.infrastructure.postgres import read_model_maintenance
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from flexcore.settings import Settings
from flexcore.wiring import checkpoint_file, owner_access, runtime_access, tune_collector

if TYPE_CHECKING:
    from flexcore.application.projections.ports import Generation
    from flexcore.infrastructure.postgres.migrate import MigrationReport

PATIENT_PAGE: Final = 10_000
"""Entries that a verification looks at in one go."""


def migrate(settings: Settings) -> "MigrationReport":
    """Bring the database to this release's schema as its owner; raises FlexCoreError."""
    # Alembic and SQLAlchemy are big, and only this needs them.
    from flexcore.infrastructure.postgres import migrate as migrations

    return migrations.migrate(owner_access(settings), runtime_role=settings.postgres.user)


def list_projections(settings: Settings) -> tuple[list["Generation"], int]:
    """Return every generation of a read model and the position of the newest event; raises Unavailable."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            read_model_maintenance.generations(runtime_access(settings), f"{settings.node_id}:projections")
        )


def rebuild_projection(settings: Settings, name: str, progress: Callable[[int, int], None]) -> int:
    """Build a read model anew and return the position it reached; raises Conflict, Unavailable.

    `progress` is told the position and that of the newest event.
    """
    tune_collector()
    node_id = f"{settings.node_id}:projections"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(read_model_maintenance.rebuild(runtime_access(settings), node_id, name, progress))


def verify_events(settings: Settings, first: int, last: int | None) -> Verification:
    """Recompute the chain of the event log from outside the server; raises FlexCoreError."""

    def verifier(database: Database) -> Verifier:
        stored = PostgresStoredChain(database, page=PATIENT_PAGE)
        return Verifier(stored, checkpoint_file(settings) or NoCheckpoints())

    return _verify(settings, verifier, first, last)


def verify_audit(settings: Settings, first: int, last: int | None) -> Verification:
    """Recompute the chain of the audit trail from outside the server; raises FlexCoreError."""

    def verifier(database: Database) -> Verifier:
        stored = PostgresStoredChain(database, page=PATIENT_PAGE, table="audit")
        return Verifier(stored, NoCheckpoints(), AUDIT_TRAIL)

    return _verify(settings, verifier, first, last)


def _verify(settings: Settings, verifier: Callable[[Database], Verifier], first: int, last: int | None) -> Verification:
    async def verify() -> Verification:
        database = Database(runtime_access(settings), node_id=f"{settings.node_id}:verify")
        try:
            await database.connect()
            return await verifier(database).verify(first, last)
        finally:
            await database.close()

    tune_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(verify())
