"""FlexCore's server runs confined and starts with the host; its files are for it alone."""

from typing import Any

import pytest
from testinfra.host import Host

from tests.infra.contract import UNIT

pytestmark = pytest.mark.unit(UNIT)

MAXIMUM_EXPOSURE = 1.5


def test_runs_and_starts_with_the_host(unit: dict[str, Any]) -> None:
    properties = unit["properties"]
    assert (properties["ActiveState"], properties["SubState"]) == ("active", "running")
    assert properties["UnitFileState"] == "enabled"


def test_no_unit_of_the_host_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend --no-pager flexcore*") == ""


def test_runs_as_its_own_user_without_any_privilege(unit: dict[str, Any], host: Host) -> None:
    process = unit["process"]
    assert process, "no main process"
    user = host.user("flexcore")
    assert process["Uid"] == str(user.uid) != "0"
    assert user.shell.endswith(("nologin", "false"))
    capabilities = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {name: process[name] for name in capabilities if int(process[name], 16)} == {}
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2", "no system call filter"


def test_is_sandboxed(unit: dict[str, Any]) -> None:
    assert unit["exposure"] is not None, "systemd-analyze gave no exposure level"
    assert unit["exposure"] <= MAXIMUM_EXPOSURE


def test_the_sandboxing_is_in_force(host: Host, unit: dict[str, Any]) -> None:
    pid = unit["properties"]["MainPID"]
    # Seen from inside the unit's own view of the file system: the operating system can't be written, others' homes
    # and devices aren't there.
    mounts = host.check_output("cat /proc/%s/mountinfo", pid)
    options = {line.split()[4]: line.split()[5] for line in mounts.splitlines()}
    assert "ro" in options["/"].split(",")
    assert "/dev" in options


def test_configuration_is_readable_by_the_server_only(host: Host) -> None:
    file = host.file("/etc/flexcore/config.yaml")
    assert (file.user, file.group, oct(file.mode)) == ("root", "flexcore", "0o640")


def test_the_key_of_the_certificate_is_readable_by_the_server_only(host: Host) -> None:
    listed = host.check_output("find /etc/flexcore/tls -printf '%y %u %g %m\\n'").splitlines()
    assert set(listed) <= {"d root flexcore 750", "f root flexcore 640"}


def test_credentials_are_readable_by_root_only(host: Host) -> None:
    listed = host.check_output("find /etc/flexcore/credentials -type f -printf '%f %u %m\\n'").splitlines()
    assert listed
    assert not [line for line in listed if not line.endswith(" root 600")]
