"""schemathesis asks the server by its own document, thousands of right and wrong requests, and finds nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess
from tests.servers import wait_until

PROGRAM = Path(sys.executable).with_name("schemathesis")
HOOKS = "tests.integration.access.schemathesis_checks"
ROOT = Path(__file__).parents[3]
SECONDS = 300
"""Far more than it takes: this only ends a run that hangs."""


@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_schemathesis_finds_nothing(flexcore: FlexCoreProcess, phase: str, tmp_path: Path) -> None:
    with flexcore.client() as api:
        wait_until(lambda: api.get("/health/ready").is_success, 30, "readiness")
    found = subprocess.run(
        [
            str(PROGRAM),
            "run",
            f"{flexcore.url}/openapi.json",
            f"--header=Authorization: Bearer {TOKEN}",
            f"--phases={phase}",
            "--checks=all",
            # Ours takes its place.
            "--exclude-checks=positive_data_acceptance",
            "--exclude-path-regex=/stream$",  # these have no end
            "--seed=4",
            "--max-examples=8",
            "--request-timeout=20",
            "--no-color",
            "--continue-on-failure",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": HOOKS,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    # Requests can be very long; what is wrong with them is not.
    said = "\n".join(line[:500] for line in (found.stdout + found.stderr).splitlines())
    assert found.returncode == 0, said[-12_000:]
    assert [record for record in flexcore.log if record["level"] == "error"] == []
