"""Counts attempts to log in: one call says whether another may begin, and counts it as failed until it succeeds."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Attempts that come at once, on any nodes, take turns by the rows of their subjects, so none passes before the others
# are counted. What has to wait leaves no row, or a flood of made-up names would fill the disk; and each call takes away
# some rows that are a day old. Failures of an hour ago are forgotten.
BEGIN_LOGIN = """
CREATE FUNCTION begin_login(subjects text[], free int[], longest int[]) RETURNS double precision
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    blocked timestamptz;
BEGIN
    SELECT max(blocked_until) INTO blocked FROM login_attempts WHERE subject = ANY (subjects);
    IF blocked > moment THEN
        RETURN extract(epoch FROM blocked - moment);
    END IF;
    DELETE FROM login_attempts WHERE subject IN (
        SELECT subject FROM login_attempts WHERE attempted_at < moment - interval '1 day'
        ORDER BY attempted_at LIMIT 10 FOR UPDATE SKIP LOCKED
    );
    INSERT INTO login_attempts (subject, failures, blocked_until, attempted_at)
    SELECT subject, 0, '-infinity', moment FROM unnest(subjects) AS subject ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject;
    moment := clock_timestamp();
    SELECT max(blocked_until) INTO blocked FROM login_attempts WHERE subject = ANY (subjects);
    IF blocked > moment THEN
        RETURN extract(epoch FROM blocked - moment);
    END IF;
    UPDATE login_attempts SET
        failures = counted.failures,
        attempted_at = moment,
        blocked_until = CASE
            WHEN counted.failures <= counted.free THEN '-infinity'
            ELSE moment + make_interval(secs => least(
                power(2::double precision, least(counted.failures - counted.free - 1, 30)), counted.longest
            ))
        END
    FROM (
        SELECT attempts.subject, limits.free, limits.longest, CASE
            WHEN attempts.attempted_at < moment - interval '1 hour' THEN 1
            ELSE attempts.failures + 1
        END AS failures
        FROM login_attempts attempts
        JOIN unnest(subjects, free, longest) AS limits (subject, free, longest) USING (subject)
    ) AS counted
    WHERE login_attempts.subject = counted.subject;
    RETURN 0;
END
$$
"""


def upgrade() -> None:
    """Create the function; it runs with the rights of whoever calls it."""
    op.execute(BEGIN_LOGIN)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP FUNCTION begin_login")
