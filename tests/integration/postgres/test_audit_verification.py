"""The chain of the audit trail: whatever a superuser does to a record is named by `flexcore audit verify`."""

import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from flexcore.application.audit import AuditOutcome, StampedRecord
from flexcore.application.verification import AUDIT_TRAIL, Verification, Verifier
from flexcore.domain import chain
from flexcore.infrastructure.checkpoints import NoCheckpoints
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.audit_log import PostgresAuditLog
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain
from tests.integration.postgres.tampering import Tamper
from tests.integration.server.flexcore_process import run_command
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio

RECORDS = 7
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
async def verifier(database: Database) -> Verifier:
    """Reads a trail of records with and without source and correlation id, in pages of three."""
    await PostgresAuditLog(database).append(
        [
            StampedRecord(
                id=str(uuid.uuid4()),
                node_id="node1",
                at=datetime.now(UTC),
                actor="ädä/deploy 🙂",
                action="enablePlugin",
                target=f"/plugins/{number}",
                outcome=AuditOutcome.SUCCEEDED,
                detail="",
                source=(None, "", "::1")[number % 3],
                correlation_id=(None, "c-1")[number % 2],
                count=number + 1,
            )
            for number in range(RECORDS)
        ]
    )
    return Verifier(PostgresStoredChain(database, page=3, table="audit"), NoCheckpoints(), AUDIT_TRAIL)


@pytest.fixture
def command(runtime_access: PostgresAccess) -> Command:
    """Run `flexcore audit verify` on the database of the test."""
    environ = {
        "POSTGRES_HOST": runtime_access.host,
        "POSTGRES_PORT": str(runtime_access.port),
        "POSTGRES_DB": runtime_access.database,
        "POSTGRES_USER": runtime_access.user,
        "POSTGRES_PASSWORD": runtime_access.password,
    }
    return lambda *arguments, **more: run_command("audit", "verify", *arguments, environ=environ | more)


async def test_what_was_recorded_is_verified(verifier: Verifier) -> None:
    assert await verifier.verify() == Verification(True, RECORDS, 0)
    assert await verifier.verify(3, 5) == Verification(True, 3, 0)


@pytest.mark.parametrize("position", [1, 4, RECORDS])
@pytest.mark.parametrize(
    "change",
    [
        "id = gen_random_uuid()",
        "at = at + interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "actor = 'eve'",
        "action = 'disablePlugin'",
        "target = target || 'x'",
        "outcome = 'refused'",
        "detail = ' '",
        "source = CASE WHEN source IS NULL THEN '' END",
        "correlation_id = CASE WHEN correlation_id IS NULL THEN '' END",
        "node_id = 'node2'",
        "count = count + 1",
        "hash = sha256(hash)",
        # The same characters in a row, with another border between two columns.
        "actor = actor || left(action, 1), action = substr(action, 2)",
    ],
)
async def test_a_changed_record_shows(verifier: Verifier, tamper: Tamper, change: str, position: int) -> None:
    tamper(f"UPDATE audit SET {change} WHERE position = {position}")  # noqa: S608 - a test's own statement
    found = await verifier.verify()
    assert (found.verified, found.first_bad_position, found.checked) == (False, position, position - 1)


async def test_the_command_names_the_record_that_a_superuser_changed(
    verifier: Verifier, tamper: Tamper, command: Command
) -> None:
    untouched = command()
    assert (untouched.returncode, untouched.stdout) == (0, f"verified: {RECORDS} records checked\n")
    tamper("UPDATE audit SET actor = 'somebody else' WHERE position = 4")
    changed = command()
    assert (changed.returncode, changed.stderr) == (1, "")
    assert changed.stdout == (
        "NOT VERIFIED, first bad position 4: the record at position 4 does not fit its hash; 3 records checked\n"
    )
    assert command("--from", "5").returncode == 0
    assert command("--to", "3").returncode == 0


async def test_the_command_names_the_record_that_a_superuser_removed(
    verifier: Verifier, tamper: Tamper, command: Command
) -> None:
    tamper("DELETE FROM audit WHERE position = 2")
    assert "the record at position 2 is missing" in command().stdout


def test_the_command_says_that_it_could_not_read(command: Command) -> None:
    refused = command(POSTGRES_PASSWORD="wrong-hunter2")
    assert (refused.returncode, refused.stdout) == (69, "")
    assert refused.stderr == "flexcore: PostgreSQL refuses the password of FlexCore's role\n"
    assert command("--from", "5", "--to", "4").returncode == 64


def test_sql_and_python_agree_on_any_text(postgres_server: PostgresServer, database_name: str) -> None:
    moment = datetime(1969, 7, 20, 20, 17, 40, 123457, UTC)
    texts = ("ä" * 300, "🙂\n\\E'", " ", "", "1 2", None, "", "node")
    content = (2**62, str(uuid.uuid4()), moment, datetime.now(UTC), 7, *texts)
    with postgres_server.connect(database=database_name) as connection:
        # The columns in the table's own order; the hash is no part of itself.
        position, record_id, at, recorded_at, count, *named, node_id = content
        values = (position, record_id, at, recorded_at, *named, node_id, count)
        row = connection.execute(
            "SELECT audit_link(%s, ROW(" + "%s, " * len(values) + "NULL)::audit)", (b"\0\xff", *values)
        ).fetchone()
    assert row == (chain.link_record(b"\0\xff", content),)
