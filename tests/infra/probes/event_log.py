"""What this host keeps and knows of the event log. Runs as root under FlexCore's interpreter, which has the driver."""

import grp
import json
import pathlib
import pwd
import stat
import subprocess

import psycopg

from flexcore.infrastructure.postgres.schema import SCHEMA_REVISION

CHECKPOINTS = "checkpoints.jsonl"
COMMAND_SECONDS = 30

# How long the oldest event after a position has been there, by the database's clock; no row without such an event.
WAITING = """
SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events
WHERE position > %s ORDER BY position LIMIT 1
"""
READ_MODELS = "SELECT name, position, failure FROM projections WHERE status = 'live'"


def modes(directory):
    """Owner, group and permission bits of a directory and of all that is in it, by name."""
    return {
        str(path.relative_to(directory)): " ".join(
            [pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name, oct(stat.S_IMODE(found.st_mode))]
        )
        for path in (directory, *directory.rglob("*"))
        for found in [path.stat()]
    }


def newest_checkpoint(directory):
    """The position and the node of the newest checkpoint; position 0 if there is none."""
    path = directory / CHECKPOINTS
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1]) if lines else {"position": 0, "node_id": None}


def said(*command):
    """The exit status of a command and the lines that it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    return {"exit_status": done.returncode, "lines": (done.stdout + done.stderr).splitlines()}


def waiting(connection, position):
    """Seconds that the log has been ahead of a position; 0 if it is not."""
    row = connection.execute(WAITING, (position,)).fetchone()
    return row[0] if row else 0.0


def database(access, position):
    """The schema's revision, how long signing waits behind `position`, and how the read models follow the log."""
    options = "-c default_transaction_read_only=on -c statement_timeout=5000"
    with psycopg.connect(**access, connect_timeout=5, application_name="verify", options=options) as connection:
        return {
            "revision": connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()[0],
            "unsigned_seconds": waiting(connection, position),
            "read_models": {
                name: {"behind_seconds": waiting(connection, reached), "failure": failure}
                for name, reached, failure in connection.execute(READ_MODELS).fetchall()
            },
        }


def collect(access, state_directory, command, newest_events):
    """What this host keeps, what the database says, and what `command` finds when it verifies the newest events."""
    directory = pathlib.Path(state_directory)
    signed = newest_checkpoint(directory)
    first = max(1, signed["position"] - newest_events)
    return {
        "modes": modes(directory),
        "signed_by": signed["node_id"],
        "verified": said(command, "events", "verify", "--from", str(first)),
        "needed_revision": SCHEMA_REVISION,
        **database(access, signed["position"]),
    }
