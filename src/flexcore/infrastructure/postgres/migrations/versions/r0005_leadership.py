"""The leader's terms: a number that only grows, and the check by which a leader of an earlier term is kept out."""

from alembic import op

revision = "0005"
down_revision = "0004"

# Redis says who may lead, but it may forget, and a leader may be paused and wake up later. So the number of the term,
# the fencing token, is counted here. check_leadership shares the row until its transaction ends, and take_leadership
# changes it: nobody commits as leader of an earlier term once a later one has begun.
#
# The functions run with the owner's rights. The runtime's role can begin a term, and can't turn the counter back.
STATEMENTS = (
    """
    CREATE TABLE leadership (
        only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
        token    bigint      NOT NULL,
        node_id  text        NOT NULL,
        taken_at timestamptz NOT NULL
    )
    """,
    "INSERT INTO leadership (token, node_id, taken_at) VALUES (0, '', now())",
    """
    CREATE FUNCTION take_leadership(new_leader text) RETURNS bigint
    LANGUAGE sql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
        UPDATE leadership SET token = token + 1, node_id = new_leader, taken_at = clock_timestamp() RETURNING token
    $$
    """,
    """
    CREATE FUNCTION check_leadership(claimed bigint) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    DECLARE
        newest bigint;
    BEGIN
        SELECT token INTO newest FROM leadership FOR SHARE;
        IF newest IS DISTINCT FROM claimed THEN
            RAISE EXCEPTION 'term % of leadership is over: it is at term %', claimed, newest USING ERRCODE = 'FC412';
        END IF;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION take_leadership, check_leadership FROM PUBLIC",
)


def upgrade() -> None:
    """Create the counter and its two functions."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a counter that begins anew would let leaders of earlier terms write."""
    raise NotImplementedError("the terms of leadership are not taken back by a migration")
