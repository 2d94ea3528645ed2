"""The read model of pipelines, their counters in system_metrics, and snapshots of long streams."""

from alembic import op

revision = "0006"
down_revision = "0005"

COUNTERS = (
    "pipelines_created",
    "pipelines_deleted",
    "pipeline_runs_started",
    "pipeline_runs_completed",
    "pipeline_runs_failed",
    "pipeline_runs_cancelled",
    "pipeline_steps_completed",
    "pipeline_steps_failed",
)

STATEMENTS = (
    """
    CREATE TABLE pipeline_status (
        generation   integer          NOT NULL,
        pipeline_id  text COLLATE "C" NOT NULL,
        position     bigint           NOT NULL,
        name         text             NOT NULL,
        description  text             NOT NULL,
        owner        text             NOT NULL,
        status       text COLLATE "C" NOT NULL,
        deleted      boolean          NOT NULL,
        created_at   timestamptz,
        updated_at   timestamptz,
        runs         bigint           NOT NULL,
        execution_id text,
        last_run     timestamptz,
        completed_at timestamptz,
        steps_total  integer          NOT NULL,
        steps_done   integer          NOT NULL,
        error        text,
        steps        jsonb            NOT NULL,
        PRIMARY KEY (generation, pipeline_id)
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX pipeline_status_newest ON pipeline_status (generation, position) WHERE NOT deleted",
    "CREATE INDEX pipeline_status_by_status ON pipeline_status (generation, status, position) WHERE NOT deleted",
    # Nodes of the release before write rows without these for as long as they serve.
    *(f"ALTER TABLE system_metrics ADD COLUMN {counter} bigint NOT NULL DEFAULT 0" for counter in COUNTERS),
    """
    CREATE TABLE snapshots (
        aggregate_type text        NOT NULL,
        aggregate_id   text        NOT NULL,
        schema_version integer     NOT NULL,
        version        bigint      NOT NULL CHECK (version > 0),
        state          text        NOT NULL,
        taken_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (aggregate_type, aggregate_id, schema_version)
    )
    """,
)


def upgrade() -> None:
    """Create the tables; the server fills them from the log."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them: whatever they hold can be made again."""
    op.execute("DROP TABLE snapshots, pipeline_status")
    for counter in COUNTERS:
        op.execute(f"ALTER TABLE system_metrics DROP COLUMN {counter}")
