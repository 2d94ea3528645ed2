"""The read models: their generations with the position each has reached, and a table for each."""

from alembic import op

revision = "0004"
down_revision = "0003"

# A generation is one build of a read model. A rebuild fills a new one beside the one that answers queries, so every
# row carries the number of its generation, and every index begins with it. A number is never used twice: whoever
# still holds that of a deleted generation writes nowhere.
STATEMENTS = (
    """
    CREATE TABLE projections (
        name       text        NOT NULL,
        generation integer     GENERATED ALWAYS AS IDENTITY,
        version    integer     NOT NULL CHECK (version > 0),
        status     text        NOT NULL CHECK (status IN ('live', 'building', 'retired')),
        position   bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        failure    text,
        PRIMARY KEY (name, generation)
    )
    """,
    "CREATE UNIQUE INDEX projections_one_of_each ON projections (name, status) WHERE status <> 'retired'",
    """
    CREATE TABLE execution_history (
        generation     integer          NOT NULL,
        execution_id   text COLLATE "C" NOT NULL,
        position       bigint           NOT NULL,
        plugin_id      text COLLATE "C" NOT NULL,
        operation      text             NOT NULL,
        status         text COLLATE "C" NOT NULL,
        success        boolean,
        node_id        text,
        attempt        integer          NOT NULL,
        user_id        text,
        correlation_id text,
        pipeline_id    text,
        step_id        text,
        queued_at      timestamptz,
        started_at     timestamptz,
        completed_at   timestamptz,
        deadline       timestamptz,
        duration_ms    double precision,
        error          text,
        PRIMARY KEY (generation, execution_id)
    )
    """,
    "CREATE INDEX execution_history_newest ON execution_history (generation, position)",
    "CREATE INDEX execution_history_by_plugin ON execution_history (generation, plugin_id, position)",
    "CREATE INDEX execution_history_by_status ON execution_history (generation, status, position)",
    "CREATE INDEX execution_history_overdue ON execution_history (generation, deadline) WHERE status = 'running'",
    """
    CREATE TABLE plugin_inventory (
        generation            integer          NOT NULL,
        plugin_id             text COLLATE "C" NOT NULL,
        name                  text             NOT NULL,
        version               text             NOT NULL,
        type                  text             NOT NULL,
        description           text             NOT NULL,
        entry_point           text             NOT NULL,
        capabilities          text[]           NOT NULL,
        dependencies          text[]           NOT NULL,
        versions              text[]           NOT NULL,
        enabled               boolean          NOT NULL,
        removed               boolean          NOT NULL,
        created_at            timestamptz,
        updated_at            timestamptz,
        total_executions      bigint           NOT NULL,
        successful_executions bigint           NOT NULL,
        failed_executions     bigint           NOT NULL,
        duration_ms           double precision NOT NULL,
        last_execution        timestamptz,
        last_failed           boolean          NOT NULL,
        PRIMARY KEY (generation, plugin_id)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE system_metrics (
        generation              integer          NOT NULL,
        key                     text COLLATE "C" NOT NULL,
        plugins_registered      bigint           NOT NULL,
        plugins_removed         bigint           NOT NULL,
        executions_queued       bigint           NOT NULL,
        executions_started      bigint           NOT NULL,
        executions_completed    bigint           NOT NULL,
        executions_unsuccessful bigint           NOT NULL,
        executions_failed       bigint           NOT NULL,
        executions_timed_out    bigint           NOT NULL,
        executions_cancelled    bigint           NOT NULL,
        executions_lost         bigint           NOT NULL,
        execution_ms            double precision NOT NULL,
        last_execution          timestamptz,
        PRIMARY KEY (generation, key)
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    """Create the tables; the server fills them from the log."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables: whatever they hold can be built again."""
    for table in ("system_metrics", "plugin_inventory", "execution_history", "projections"):
        op.execute(f"DROP TABLE {table}")
