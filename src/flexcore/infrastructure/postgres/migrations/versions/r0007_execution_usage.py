"""What executions used, in the read models that tell of them."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Nodes of the release before write rows without these for as long as they serve.
COLUMNS = (
    ("execution_history", "cpu_ms", "double precision"),
    ("execution_history", "peak_memory_bytes", "bigint"),
    ("plugin_inventory", "measured_executions", "bigint NOT NULL DEFAULT 0"),
    ("plugin_inventory", "cpu_ms", "double precision NOT NULL DEFAULT 0"),
    ("plugin_inventory", "peak_memory_bytes", "bigint NOT NULL DEFAULT 0"),
    ("system_metrics", "executions_killed", "bigint NOT NULL DEFAULT 0"),
    ("system_metrics", "execution_cpu_ms", "double precision NOT NULL DEFAULT 0"),
)


def upgrade() -> None:
    """Add the columns; the server builds the read models anew from the log."""
    for table, column, kind in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def downgrade() -> None:
    """Drop them: whatever they hold can be made again."""
    for table, column, _ in COLUMNS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
