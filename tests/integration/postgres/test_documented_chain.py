"""The program in the documentation that recomputes the chain without FlexCore does so."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from flexcore.application.events import Events
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.event_store import PostgresEventStore

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs/explanation/event-store.md"


def recompute(access: PostgresAccess) -> subprocess.CompletedProcess[str]:
    """Run the page's program on a database."""
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(programs) == 1
    program = programs[0].replace("dbname=flexcore", f"dbname={access.database}")
    connection = {"PGHOST": access.host, "PGPORT": str(access.port), "PGUSER": access.user}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | connection | {"PGPASSWORD": access.password},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_documented_program_recomputes_the_chain(
    store: PostgresEventStore, runtime_access: PostgresAccess
) -> None:
    events = Events(store, lambda: str(uuid.uuid4()))
    text = {"text": "größer 🙂 \n", "number": 1.50}
    appended = await events.append(
        [NewEvent("Said", f"ähm-{number}", "Talk", text, {"by": "é"}) for number in range(3)]
    )
    recomputed = recompute(runtime_access)
    assert recomputed.returncode == 0, recomputed.stderr
    assert recomputed.stdout.strip() == appended.events[-1].hash
