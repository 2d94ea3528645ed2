"""Ties the events into a chain of hashes, keeps receipts, and makes one function the only way to append."""

from alembic import op

revision = "0002"
down_revision = "0001"

# data and metadata are kept as the text that was hashed: jsonb would reorder keys and rewrite numbers.
TEXT_COLUMNS = (
    "DROP FUNCTION append_events",
    "ALTER TABLE events DISABLE TRIGGER events_are_append_only",
    "ALTER TABLE events ALTER COLUMN data TYPE text USING data::text, ALTER COLUMN metadata TYPE text"
    " USING metadata::text, ADD COLUMN hash bytea",
    "DROP INDEX events_by_time",
    "CREATE INDEX events_by_time ON events (recorded_at, position)",
    "CREATE INDEX events_by_aggregate_type ON events (aggregate_type, position)",
    "CREATE INDEX events_by_type_and_time ON events (type, recorded_at, position)",
)

# flexcore.domain.chain does the same in Python, and `flexcore events verify` compares. Each text goes in with its
# length, so that no two different rows give the same bytes.
LINK = """
CREATE FUNCTION event_link(
    previous bytea, event_position bigint, id uuid, version bigint, recorded_at timestamptz,
    type text, aggregate_type text, aggregate_id text, data text, metadata text
)
RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT sha256(previous || convert_to(concat(
        event_position, ' ', id, ' ', version, ' ', (extract(epoch FROM recorded_at) * 1000000)::bigint, ' ',
        length(type), ' ', length(aggregate_type), ' ', length(aggregate_id), ' ', length(data), E'\\n',
        type, aggregate_type, aggregate_id, data, metadata
    ), 'UTF8'))
$$
"""

CHAIN_OLD_EVENTS = """
DO $$
DECLARE
    event record;
    link bytea := '';
BEGIN
    FOR event IN SELECT * FROM events ORDER BY position LOOP
        link := event_link(link, event.position, event.id, event.version, event.recorded_at,
            event.type, event.aggregate_type, event.aggregate_id, event.data, event.metadata);
        UPDATE events SET hash = link WHERE position = event.position;
    END LOOP;
END
$$
"""

RECEIPTS = """
CREATE TABLE receipts (
    key         text        PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 300),
    fingerprint text        NOT NULL,
    answer      text        NOT NULL,
    event_ids   uuid[]      NOT NULL,
    recorded_at timestamptz NOT NULL
)
"""

# One call takes the appends of many callers. An append whose expected version is not met, or whose receipt is there
# already, is left out and the others go on; `conflict_*` and `repeated_appends` tell of them.
#
# The advisory lock, held until commit, makes calls take turns: whoever can see position n can see every position
# below n, now and for ever, and the chain has one end. The function runs in one round trip, so no client that hangs
# can sit on the lock. It runs with its owner's rights, and the runtime's role may write events in no other way.
#
# PostgreSQL plans the function's queries once in a session, perhaps on an empty table, and keeps the plan while the
# table grows. Without sorting there is one plan for each: the index that is in order, of which it reads one row.
APPEND = """
CREATE FUNCTION append_events(
    stream_types text[], stream_ids text[],
    event_appends int[], event_streams int[], event_ids uuid[], event_types text[],
    event_data text[], event_metadata text[], expected_versions bigint[],
    receipt_appends int[], receipt_keys text[], receipt_fingerprints text[], receipt_answers text[],
    job_appends int[], jobs jsonb[],
    OUT positions bigint[], OUT versions bigint[], OUT hashes bytea[], OUT appended_at timestamptz,
    OUT conflict_events int[], OUT conflict_versions bigint[], OUT repeated_appends int[]
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_sort = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    event_count int := cardinality(event_ids);
    heads bigint[];
    head bigint;
    link bytea;
    stream int;
    append int;
    first_event int;
    first_position bigint;
    first_link bytea;
    left_out int[];
BEGIN
    PERFORM pg_advisory_xact_lock(7305201002);
    appended_at := clock_timestamp();
    repeated_appends := ARRAY(
        SELECT appends.append FROM unnest(receipt_appends, receipt_keys) AS appends (append, receipt_key)
        WHERE EXISTS (SELECT FROM receipts WHERE receipts.key = appends.receipt_key)
    );
    left_out := repeated_appends;
    positions := array_fill(NULL::bigint, ARRAY[event_count]);
    versions := positions;
    hashes := array_fill(NULL::bytea, ARRAY[event_count]);

    SELECT events.position, events.hash INTO head, link FROM events ORDER BY events.position DESC LIMIT 1;
    head := coalesce(head, 0);
    link := coalesce(link, '');
    heads := ARRAY(
        SELECT coalesce((
            SELECT events.version FROM events
            WHERE events.aggregate_type = streams.type AND events.aggregate_id = streams.id
            ORDER BY events.version DESC LIMIT 1
        ), 0)
        FROM unnest(stream_types, stream_ids) AS streams (type, id)
    );

    FOR i IN 1 .. event_count LOOP
        IF append IS DISTINCT FROM event_appends[i] THEN
            append := event_appends[i];
            first_event := i;
            first_position := head;
            first_link := link;
        END IF;
        CONTINUE WHEN append = ANY (left_out);
        stream := event_streams[i];
        IF expected_versions[i] <> heads[stream] THEN
            conflict_events := conflict_events || i;
            conflict_versions := conflict_versions || heads[stream];
            left_out := left_out || append;
            head := first_position;
            link := first_link;
            FOR j IN REVERSE i - 1 .. first_event LOOP
                heads[event_streams[j]] := versions[j] - 1;
                positions[j] := NULL;
            END LOOP;
            CONTINUE;
        END IF;
        head := head + 1;
        heads[stream] := heads[stream] + 1;
        link := event_link(link, head, event_ids[i], heads[stream], appended_at, event_types[i],
            stream_types[stream], stream_ids[stream], event_data[i], event_metadata[i]);
        positions[i] := head;
        versions[i] := heads[stream];
        hashes[i] := link;
    END LOOP;

    INSERT INTO events
        (position, id, type, aggregate_type, aggregate_id, version, data, metadata, recorded_at, hash)
    SELECT new.position, new.id, new.type, stream_types[new.stream], stream_ids[new.stream], new.version,
        new.data, new.metadata, appended_at, new.hash
    FROM unnest(positions, event_ids, event_types, event_streams, versions, event_data, event_metadata, hashes)
        AS new (position, id, type, stream, version, data, metadata, hash)
    WHERE new.position IS NOT NULL;

    IF cardinality(receipt_keys) > 0 THEN
        INSERT INTO receipts (key, fingerprint, answer, event_ids, recorded_at)
        SELECT new.key, new.fingerprint, new.answer, ARRAY(
            SELECT events_of.id FROM unnest(event_appends, event_ids) AS events_of (append, id)
            WHERE events_of.append = new.append
        ), appended_at
        FROM unnest(receipt_appends, receipt_keys, receipt_fingerprints, receipt_answers)
            AS new (append, key, fingerprint, answer)
        WHERE new.append <> ALL (left_out);
    END IF;

    IF cardinality(jobs) > 0 THEN
        PERFORM procrastinate_defer_jobs_v1(ARRAY(
            SELECT jsonb_populate_record(NULL::procrastinate_job_to_defer_v1, new.job)
            FROM unnest(job_appends, jobs) AS new (append, job)
            WHERE new.append <> ALL (left_out)
        ));
    END IF;
END
$$
"""


def upgrade() -> None:
    """Chain the events there are, in one transaction with the change of the table."""
    for statement in (
        *TEXT_COLUMNS,
        LINK,
        CHAIN_OLD_EVENTS,
        "ALTER TABLE events ALTER COLUMN hash SET NOT NULL",
        "ALTER TABLE events ENABLE TRIGGER events_are_append_only",
        RECEIPTS,
        APPEND,
        "REVOKE ALL ON FUNCTION append_events FROM PUBLIC",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: events without their hashes could be changed unseen."""
    raise NotImplementedError("the chain of events is not taken apart; restore a backup instead")
