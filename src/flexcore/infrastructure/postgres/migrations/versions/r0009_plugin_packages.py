"""The packages of plugins, in pieces, by their digest."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
    CREATE TABLE plugin_package_pieces (
        digest  bytea   NOT NULL CHECK (octet_length(digest) = 32),
        number  integer NOT NULL CHECK (number >= 0),
        content bytea   NOT NULL,
        PRIMARY KEY (digest, number)
    )
    """,
    # Packages are compressed already.
    "ALTER TABLE plugin_package_pieces ALTER COLUMN content SET STORAGE EXTERNAL",
    """
    CREATE TABLE plugin_packages (
        digest    bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
        plugin_id text        NOT NULL,
        version   text        NOT NULL,
        size      bigint      NOT NULL CHECK (size > 0),
        pieces    integer     NOT NULL CHECK (pieces > 0),
        stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them; plugins that came as packages can't be had any more."""
    op.execute("DROP TABLE plugin_packages, plugin_package_pieces")
