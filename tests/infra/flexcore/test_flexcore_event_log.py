"""The event log is what was recorded: the host verifies it, signs it, and keeps what it signs with to itself."""

from typing import Any

import pytest
from testinfra.host import Host

from tests.infra.contract import COMMAND, UNIT
from tests.infra.node import Node

pytestmark = pytest.mark.unit(UNIT)

# A node signs every ten seconds, and read models follow within one; a busy host is given more.
LATE_SECONDS = 60


def test_what_signs_the_log_is_the_servers_alone(event_log: dict[str, Any]) -> None:
    modes = event_log["modes"]
    assert modes["."] == "flexcore flexcore 0o700"
    assert {"checkpoint_key.pem", "checkpoints.jsonl"} <= modes.keys()
    assert {name: mode for name, mode in modes.items() if name != "." and mode != "flexcore flexcore 0o600"} == {}


def test_the_log_is_signed_as_it_grows(node: Node, event_log: dict[str, Any]) -> None:
    assert event_log["signed_by"] == node.variables["flexcore_node_id"]
    assert event_log["unsigned_seconds"] < LATE_SECONDS


def test_the_log_is_what_was_recorded(event_log: dict[str, Any]) -> None:
    assert event_log["verified"]["lines"][-1:] != []
    assert event_log["verified"]["lines"][-1].startswith("verified: ")
    assert event_log["verified"]["exit_status"] == 0


def test_the_command_is_for_root_only(host: Host) -> None:
    file = host.file(COMMAND)
    assert (file.user, file.group, oct(file.mode)) == ("root", "root", "0o700")


def test_the_schema_is_the_releases(event_log: dict[str, Any]) -> None:
    assert event_log["revision"] == event_log["needed_revision"]


def test_every_read_model_follows_the_log(event_log: dict[str, Any]) -> None:
    models = event_log["read_models"]
    assert models
    late = {name: model["behind_seconds"] for name, model in models.items() if model["behind_seconds"] > LATE_SECONDS}
    assert late == {}
    assert {name: model["failure"] for name, model in models.items() if model["failure"]} == {}
