"""The event log: one append-only table, and the function that appends to it."""

from alembic import op

revision = "0001"
down_revision = None

# position counts all events in commit order without gaps. The advisory lock, held until commit, makes appends take
# turns: whoever can see position n can see every position below n, now and for ever. The function runs in one round
# trip, so no client that hangs can sit on the lock.
#
# PostgreSQL plans the function's queries once in a session, perhaps on an empty table, and keeps the plan while the
# table grows. Without sorting there is one plan for each: the index that is in order, of which it reads one row.
STATEMENTS = (
    """
    CREATE TABLE events (
        position       bigint      PRIMARY KEY CHECK (position > 0),
        id             uuid        NOT NULL UNIQUE,
        type           text        NOT NULL,
        aggregate_type text        NOT NULL,
        aggregate_id   text        NOT NULL,
        version        bigint      NOT NULL CHECK (version > 0),
        data           jsonb       NOT NULL,
        metadata       jsonb       NOT NULL,
        recorded_at    timestamptz NOT NULL,
        UNIQUE (aggregate_type, aggregate_id, version)
    )
    """,
    "CREATE INDEX events_by_aggregate ON events (aggregate_id, position)",
    "CREATE INDEX events_by_type ON events (type, position)",
    "CREATE INDEX events_by_time ON events (recorded_at)",
    """
    CREATE FUNCTION append_events(
        ids uuid[], types text[], aggregate_types text[], aggregate_ids text[],
        data_items jsonb[], metadata_items jsonb[], expected_versions bigint[]
    )
    RETURNS TABLE (event_position bigint, event_version bigint, event_recorded_at timestamptz)
    LANGUAGE plpgsql
    SET enable_sort = off
    SET plan_cache_mode = force_generic_plan
    AS $$
    DECLARE
        stream_version bigint;
    BEGIN
        PERFORM pg_advisory_xact_lock(7305201002);
        event_position := coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0);
        event_recorded_at := clock_timestamp();
        FOR i IN 1 .. cardinality(ids) LOOP
            stream_version := coalesce((
                SELECT version FROM events
                WHERE aggregate_type = aggregate_types[i] AND aggregate_id = aggregate_ids[i]
                ORDER BY version DESC LIMIT 1
            ), 0);
            IF expected_versions[i] <> stream_version THEN
                RAISE EXCEPTION 'expected version % of % ''%'', but it is at version %',
                    expected_versions[i], aggregate_types[i], aggregate_ids[i], stream_version
                    USING ERRCODE = 'FC409';
            END IF;
            event_position := event_position + 1;
            event_version := stream_version + 1;
            INSERT INTO events
                (position, id, type, aggregate_type, aggregate_id, version, data, metadata, recorded_at)
            VALUES (event_position, ids[i], types[i], aggregate_types[i], aggregate_ids[i], event_version,
                data_items[i], metadata_items[i], event_recorded_at);
            RETURN NEXT;
        END LOOP;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION append_events FROM PUBLIC",
    # The runtime's role has no right to change events; this stops the owner's role and a superuser's slip as well.
    """
    CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'events are append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END
    $$
    """,
    """
    CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()
    """,
)


def upgrade() -> None:
    """Create the log."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: it would delete every event there is."""
    raise NotImplementedError("the event log is not deleted by a migration; drop the database if that is meant")
