"""Who may call: users, API tokens, keys of sessions, failed logins; and the audit trail of what they did."""

from alembic import op

revision = "0008"
down_revision = "0007"

ACCOUNTS = (
    """
    CREATE TABLE users (
        id            uuid        PRIMARY KEY,
        name          text        COLLATE "C" NOT NULL UNIQUE,
        role          text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        disabled      boolean     NOT NULL DEFAULT false,
        password_hash text        NOT NULL,
        session_epoch integer     NOT NULL DEFAULT 0,
        created_at    timestamptz NOT NULL,
        updated_at    timestamptz NOT NULL
    )
    """,
    # Of a token only the SHA-256 is kept: it has 256 random bits, so there is nothing to guess that a slow hash would
    # make dearer. An owner of NULL is the token that the nodes were given as a credential.
    """
    CREATE TABLE api_tokens (
        id          uuid        PRIMARY KEY,
        owner_id    uuid        REFERENCES users ON DELETE CASCADE,
        name        text        COLLATE "C" NOT NULL,
        role        text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        secret_hash bytea       NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
        created_at  timestamptz NOT NULL,
        expires_at  timestamptz,
        UNIQUE NULLS NOT DISTINCT (owner_id, name)
    )
    """,
    # Apart from the tokens, so that using one does not look like changing one.
    """
    CREATE TABLE api_token_uses (
        token_id uuid        PRIMARY KEY REFERENCES api_tokens ON DELETE CASCADE,
        used_at  timestamptz NOT NULL
    )
    """,
    # The public halves of the keys that sign sessions. The private ones never leave the process that made them.
    """
    CREATE TABLE session_keys (
        kid        text        COLLATE "C" PRIMARY KEY,
        public_key bytea       NOT NULL CHECK (length(public_key) = 32),
        node_id    text        NOT NULL,
        created_at timestamptz NOT NULL,
        not_after  timestamptz NOT NULL
    )
    """,
    # One number that grows with every change of the above: nodes ask for it every second, and read on only if it grew.
    # Its row is also the lock that makes changes of accounts take turns.
    """
    CREATE TABLE access_version (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        version  bigint  NOT NULL
    )
    """,
    "INSERT INTO access_version (version) VALUES (1)",
    """
    CREATE FUNCTION access_changed() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    BEGIN
        UPDATE access_version SET version = version + 1;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION lock_accounts() RETURNS void
    LANGUAGE sql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$ SELECT version FROM access_version FOR UPDATE $$
    """,
    *(
        f"""
        CREATE TRIGGER {table}_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION access_changed()
        """
        for table in ("users", "api_tokens", "session_keys")
    ),
    # `subject` is a user name or an address. An attempt counts as failed from its beginning until it succeeds, so that
    # many at once don't pass each other.
    """
    CREATE TABLE login_attempts (
        subject       text        COLLATE "C" PRIMARY KEY,
        failures      integer     NOT NULL,
        blocked_until timestamptz NOT NULL,
        attempted_at  timestamptz NOT NULL
    )
    """,
    "CREATE INDEX login_attempts_by_time ON login_attempts (attempted_at)",
)

TRAIL = (
    """
    CREATE TABLE audit (
        position       bigint      PRIMARY KEY CHECK (position > 0),
        id             uuid        NOT NULL,
        at             timestamptz NOT NULL,
        recorded_at    timestamptz NOT NULL,
        actor          text        COLLATE "C" NOT NULL,
        action         text        COLLATE "C" NOT NULL,
        target         text        NOT NULL,
        outcome        text        NOT NULL,
        detail         text        NOT NULL,
        source         text,
        correlation_id text,
        node_id        text        NOT NULL,
        count          bigint      NOT NULL,
        hash           bytea       NOT NULL
    )
    """,
    "CREATE INDEX audit_by_actor ON audit (actor, position)",
    "CREATE INDEX audit_by_action ON audit (action, position)",
    # Each text goes in with its length, so that no two different rows give the same bytes.
    """
    CREATE FUNCTION audit_link(previous bytea, entry audit)
    RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT sha256(previous || convert_to(concat(
            entry.position, ' ', entry.id, ' ', (extract(epoch FROM entry.at) * 1000000)::bigint, ' ',
            (extract(epoch FROM entry.recorded_at) * 1000000)::bigint, ' ', entry.count, ' ',
            length(entry.actor), ' ', length(entry.action), ' ', length(entry.target), ' ', length(entry.outcome), ' ',
            length(entry.detail), ' ', length(entry.source), ' ', length(entry.correlation_id), E'\\n',
            entry.actor, entry.action, entry.target, entry.outcome, entry.detail, entry.source, entry.correlation_id,
            entry.node_id
        ), 'UTF8'))
    $$
    """,
    # What every record is written by. The advisory lock, held until commit, makes calls take turns: positions have no
    # gaps, `recorded_at` never goes back, the chain has one end, and whoever can see position n can see all below n.
    #
    # A call whose connection broke may come again; then `known` is the last position its node has seen, and records
    # that are there behind it are left out.
    """
    CREATE FUNCTION append_audit(records jsonb, known bigint) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
    DECLARE
        entry audit;
        head bigint;
        link bytea;
        moment timestamptz;
        present uuid[];
    BEGIN
        PERFORM pg_advisory_xact_lock(7305201003);
        SELECT audit.position, audit.hash, audit.recorded_at INTO head, link, moment
        FROM audit ORDER BY audit.position DESC LIMIT 1;
        head := coalesce(head, 0);
        link := coalesce(link, '');
        moment := greatest(clock_timestamp(), moment);
        IF known IS NOT NULL THEN
            present := ARRAY(SELECT audit.id FROM audit WHERE audit.position > known);
        END IF;
        FOR entry IN SELECT * FROM jsonb_populate_recordset(NULL::audit, records) LOOP
            CONTINUE WHEN entry.id = ANY (present);
            head := head + 1;
            entry.position := head;
            entry.recorded_at := moment;
            link := audit_link(link, entry);
            entry.hash := link;
            INSERT INTO audit SELECT entry.*;
        END LOOP;
        RETURN head;
    END
    $$
    """,
    # append_events, with records of who asked for it in the same transaction: that costs no second commit. Records of
    # appends that were left out are left out.
    """
    CREATE FUNCTION append_audited_events(
        stream_types text[], stream_ids text[],
        event_appends int[], event_streams int[], event_ids uuid[], event_types text[],
        event_data text[], event_metadata text[], expected_versions bigint[],
        receipt_appends int[], receipt_keys text[], receipt_fingerprints text[], receipt_answers text[],
        job_appends int[], jobs jsonb[],
        audit_appends int[], audit_records jsonb,
        OUT positions bigint[], OUT versions bigint[], OUT hashes bytea[], OUT appended_at timestamptz,
        OUT conflict_events int[], OUT conflict_versions bigint[], OUT repeated_appends int[]
    )
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    DECLARE
        left_out int[];
    BEGIN
        SELECT appended.positions, appended.versions, appended.hashes, appended.appended_at,
            appended.conflict_events, appended.conflict_versions, appended.repeated_appends
        INTO positions, versions, hashes, appended_at, conflict_events, conflict_versions, repeated_appends
        FROM append_events(stream_types, stream_ids, event_appends, event_streams, event_ids, event_types, event_data,
            event_metadata, expected_versions, receipt_appends, receipt_keys, receipt_fingerprints, receipt_answers,
            job_appends, jobs) AS appended;
        IF cardinality(conflict_events) > 0 OR cardinality(repeated_appends) > 0 THEN
            left_out := repeated_appends || ARRAY(
                SELECT event_appends[conflicting] FROM unnest(conflict_events) AS conflicting
            );
            audit_records := coalesce((
                SELECT jsonb_agg(entry ORDER BY number)
                FROM jsonb_array_elements(audit_records) WITH ORDINALITY AS entries (entry, number)
                WHERE audit_appends[number] <> ALL (left_out)
            ), '[]');
        END IF;
        PERFORM append_audit(audit_records, NULL);
    END
    $$
    """,
    # Times of recording never go back and positions have no gaps, so a time is found without an index of times.
    """
    CREATE FUNCTION audit_position_since(moment timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
    DECLARE
        low bigint := 1;
        high bigint := coalesce((SELECT max(position) FROM audit), 0) + 1;
        middle bigint;
    BEGIN
        WHILE low < high LOOP
            middle := (low + high) / 2;
            IF (SELECT recorded_at FROM audit WHERE position = middle) < moment THEN
                low := middle + 1;
            ELSE
                high := middle;
            END IF;
        END LOOP;
        RETURN low;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION append_audit, append_audited_events, access_changed, lock_accounts FROM PUBLIC",
    # The runtime's role has no right to change records; this stops the owner's role and a superuser's slip as well.
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END
    $$
    """,
    """
    CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)


def upgrade() -> None:
    """Create them, empty; the server makes the first admin."""
    for statement in (*ACCOUNTS, *TRAIL):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: it would delete the record of who did what."""
    raise NotImplementedError("the audit trail is not deleted by a migration; drop the database if that is meant")
