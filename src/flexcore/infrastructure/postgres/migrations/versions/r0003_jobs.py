"""The job queue, which is procrastinate's, and what is kept of executions beside their events."""

from pathlib import Path
from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"

QUEUE: Final = Path(__file__).parents[1] / "procrastinate_3_10.sql"

# A result belongs to one attempt: a node that was only paused may store its own late, and which attempt ended the
# execution is decided by the event that did. It is kept as text, for jsonb has no place for all that JSON can say; a
# result that is too large is kept as its size alone.
STATEMENTS = (
    """
    CREATE TABLE execution_results (
        execution_id text        NOT NULL,
        attempt      integer     NOT NULL CHECK (attempt > 0),
        size         bigint      NOT NULL,
        data         text,
        stored_at    timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (execution_id, attempt)
    )
    """,
    "CREATE INDEX execution_results_by_time ON execution_results (stored_at)",
    """
    CREATE TABLE execution_cancellations (
        execution_id text        PRIMARY KEY,
        requested_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    """Create the queue and the tables."""
    # Its comments and messages hold percent signs, which a statement with parameters would take for placeholders.
    queue = QUEUE.read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(queue, execution_options={"no_parameters": True})
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: it would drop jobs that wait."""
    raise NotImplementedError("jobs that wait are not dropped by a migration; drop the database if that is meant")
