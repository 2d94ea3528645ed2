"""Supervisors for the tests, each seen to leave nothing behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sandbox.supervised import UNPRIVILEGED, Server, Supervisor
from tests.servers import wait_until

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module", params=[None, UNPRIVILEGED] if AS_ROOT else [None], ids=lambda user: f"user-{user}")
def supervisor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A supervisor as the user who runs the tests, and as one without rights."""
    yield from supervise(tmp_path_factory.mktemp("supervisor"), request.param)


def supervise(directory: Path, user: int | None, *arguments: str) -> Iterator[Supervisor]:
    reachable(directory)
    started = Supervisor(directory / "sandbox.sock", *arguments, user=user)
    started.connect().connection.close()
    yield started
    below = started.descendants()
    started.stop()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 5, "end of all that it started")


def reachable(directory: Path) -> None:
    """Let any user write to a directory of pytest's, and reach it."""
    directory.chmod(0o777)
    for path in directory.parents:
        if path.name.startswith("pytest-of-"):
            path.chmod(0o755)
            break
        path.chmod(0o755)


@pytest.fixture
def server(supervisor: Supervisor) -> Iterator[Server]:
    """A connection to it."""
    connected = supervisor.connect()
    yield connected
    connected.connection.close()
