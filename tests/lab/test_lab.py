"""The lab itself: hosts are as real ones, break as real ones, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.conftest import lab_number, standing
from tests.lab.hosts import LABS, Lab, LabHost, eventually
from tests.lab.playbooks import run_playbook


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """A lab to which nothing is deployed, for the tests here to break."""
    with standing(lab_number(3, "inventories/lab")) as lab:
        yield lab


@pytest.fixture
def host(bare_lab: Lab) -> LabHost:
    """The host of that lab."""
    return bare_lab.hosts["lab1"]


@pytest.fixture
def absent_lab() -> Iterator[Lab]:
    """A lab that does not stand, for a test that boots and removes it by itself."""
    lab = lab_number(4, "inventories/lab")
    lab.control("down")
    yield lab
    lab.control("down")


def processes_of(lab: Lab) -> set[int]:
    """Ids of the processes in the lab's cgroups or with its directory on their command line; the dead do not count."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, groups = (process / "cmdline").read_text(), (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command and f"/{lab.name}/" in command.replace("\0", "/") + groups:
            found.add(int(process.name))
    return found


def kill_everything(lab: Lab) -> None:
    """End all of a lab as a crash of the machine's session does: by SIGKILL, and nobody tidies up."""
    for pid in processes_of(lab):
        with suppress(ProcessLookupError):  # it died of another's death
            os.kill(pid, signal.SIGKILL)
    eventually("the lab's processes are gone", lambda: not processes_of(lab))


def traces_of(lab: Lab) -> dict[str, list[str]]:
    """Find all that the machine shows of a lab, by kind; kinds without a trace are left out."""

    def lines(*command: str) -> list[str]:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    places = (LABS, Path("/run/systemd/nspawn/propagate"), *Path("/sys/fs/cgroup").glob("**/flexcore-ops"))
    traces = {
        "processes": [str(pid) for pid in sorted(processes_of(lab))],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{lab.name}/" in line],
        "links": [line for line in lines("ip", "-oneline", "link") if lab.name in line],
        "firewall": [line for line in lines("iptables-save") if lab.name in line or f"{lab.subnet}." in line],
        "files": [str(path) for place in places for path in place.glob(f"{lab.name}*")],
    }
    return {kind: found for kind, found in traces.items() if found}


def test_second_run_changes_nothing(bare_lab: Lab) -> None:
    run = bare_lab.up()

    assert run.count("changed") == 0, run.changed_tasks


def test_host_is_a_booted_debian_with_an_identity_of_its_own(host: LabHost) -> None:
    assert host.run("systemctl is-system-running --wait").stdout.strip() == "running"
    assert host.run("hostname").stdout.strip() == host.name
    assert host.run("cat /etc/machine-id").stdout.strip() != Path("/etc/machine-id").read_text().strip()
    assert host.run("sudo id -u").stdout.strip() == "0"


def test_nobody_logs_in_as_root_or_with_a_password(host: LabHost) -> None:
    effective = host.run("sudo sshd -T").stdout.splitlines()

    assert {"permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"} <= set(effective)


def test_a_host_with_another_key_is_not_trusted(bare_lab: Lab, host: LabHost) -> None:
    known_hosts = bare_lab.directory / "ssh/known_hosts"
    right = known_hosts.read_text()
    bare_lab.control("stop", host.name)
    bare_lab.control("start", host.name)
    own_key = (bare_lab.directory / "ssh/id_ed25519.pub").read_text()
    try:
        known_hosts.write_text(f"{host.address} {own_key}")
        eventually(
            "ssh refuses the host's key", lambda: "verification failed" in host.run("true", check=False).stderr.lower()
        )
    finally:
        known_hosts.write_text(right)
    host.wait()


@pytest.mark.parametrize(
    ("limit", "demand"),
    [
        ("MemoryMax=50M", "python3 -c 'bytearray(200 * 2**20)'"),
        ("TasksMax=5", "python3 -c 'import os; [os.fork() for _ in range(5)]'"),
    ],
)
def test_limits_of_units_bite(host: LabHost, limit: str, demand: str) -> None:
    run = f"sudo systemd-run --quiet --wait --collect --property={{}} {demand}"

    assert host.run(run.format("Nice=0"), check=False).returncode == 0
    assert host.run(run.format(limit), check=False).returncode != 0


def test_host_comes_back_from_a_reboot_and_keeps_its_journal(host: LabHost) -> None:
    before = host.boot_id()

    host.run("sudo systemctl reboot", check=False)

    eventually("the host is up again", lambda: host.boot_id() not in ("", before))
    boots = host.run("sudo journalctl --list-boots --quiet").stdout
    assert before.replace("-", "") in boots


def test_power_cut_keeps_what_was_on_disk(host: LabHost) -> None:
    host.run("echo kept > witness && sync")

    host.kill()
    assert not host.answers()
    host.start()

    assert host.run("cat witness").stdout == "kept\n"


def test_a_host_that_lost_power_starts_in_control_groups_of_its_own_anew(host: LabHost) -> None:
    # Their inode numbers are never used again.
    root = "stat --format %i $(findmnt --noheadings --output TARGET --types cgroup2 | head --lines 1)"
    before = host.run(root).stdout
    host.kill()
    host.start()
    assert host.run(root).stdout != before


def test_stopped_host_is_gone_until_it_is_started(host: LabHost) -> None:
    host.stop()
    assert not host.answers()

    host.start()


def test_cut_link_separates_a_host_that_runs_on(host: LabHost) -> None:
    before = host.boot_id()

    host.cut()
    assert not host.answers()
    host.join()

    assert host.boot_id() == before


def test_hung_host_accepts_connections_and_does_not_answer(host: LabHost) -> None:
    host.hang()
    assert not host.answers()

    host.thaw()


def test_killed_service_is_restarted_by_its_systemd(host: LabHost) -> None:
    main_pid = "systemctl show --property=MainPID --value victim"
    host.run("sudo systemd-run --unit=victim --property=Restart=always --property=RestartSec=0 sleep infinity")
    first = host.run(main_pid).stdout

    host.kill_service("victim")

    eventually("the service has another process", lambda: host.run(main_pid).stdout not in (first, "0\n"))
    host.run("sudo systemctl stop victim")


def test_down_leaves_nothing_and_can_be_repeated(absent_lab: Lab) -> None:
    absent_lab.up()
    assert set(traces_of(absent_lab)) == {"processes", "mounts", "links", "firewall", "files"}

    assert absent_lab.down().count("changed") == 1
    assert traces_of(absent_lab) == {}
    assert absent_lab.down().count("changed") == 0


def test_down_after_everything_was_killed_leaves_nothing(absent_lab: Lab) -> None:
    absent_lab.up()
    kill_everything(absent_lab)

    absent_lab.down()

    assert traces_of(absent_lab) == {}


def test_up_takes_over_what_was_killed(absent_lab: Lab) -> None:
    absent_lab.up()
    absent_lab.hosts["lab1"].run("echo kept > witness && sync")
    kill_everything(absent_lab)

    assert absent_lab.up().count("changed") > 0

    assert absent_lab.hosts["lab1"].run("cat witness").stdout == "kept\n"
    assert absent_lab.up().count("changed") == 0


def test_up_mends_a_network_that_someone_took_away(absent_lab: Lab) -> None:
    absent_lab.up()
    bridge = f"fcl-{absent_lab.name}"
    subprocess.run(["ip", "link", "delete", bridge], check=True)

    absent_lab.up()

    assert absent_lab.hosts["lab1"].answers()


def test_labs_stand_side_by_side(bare_lab: Lab, absent_lab: Lab) -> None:
    absent_lab.up()
    absent_lab.down()

    assert bare_lab.hosts["lab1"].answers()


@pytest.mark.parametrize("arguments", [(), ("-e", "lab_mirror=http://192.0.2.1/debian")], ids=["base", "no base"])
def test_check_mode_works_where_there_is_no_lab_yet(absent_lab: Lab, arguments: tuple[str, ...]) -> None:
    absent_lab.playbook("lab.yml", "--check", "--diff", *arguments)

    assert traces_of(absent_lab) == {}


@pytest.mark.parametrize(
    ("environment", "arguments", "words"),
    [
        ({"FLEXCORE_LAB_NAME": "Not_A_Name"}, (), ["lab_name", "1 to 11", "FLEXCORE_LAB_NAME"]),
        ({"FLEXCORE_LAB_SUBNET": "8.8.8"}, (), ["lab_subnet", "10.77.0", "FLEXCORE_LAB_SUBNET"]),
        ({"FLEXCORE_LAB_SUBNET": "10.77.256"}, (), ["lab_subnet", "10.77.0", "FLEXCORE_LAB_SUBNET"]),
        ({}, ("-e", "lab_subnett=10.77.0"), ["lab_subnett", "lab_subnet"]),
        ({}, ("-e", '{"lab_hosts": {}}'), ["lab_hosts", "1 to 6"]),
        ({}, ("-e", "lab_debian_release=sid"), ["lab_debian_release", "bookworm, trixie"]),
    ],
)
def test_wrong_variable_is_refused_by_name(
    absent_lab: Lab, environment: dict[str, str], arguments: tuple[str, ...], words: list[str]
) -> None:
    run = run_playbook(
        "lab.yml",
        *arguments,
        inventory=absent_lab.inventory,
        environment=absent_lab.environment | environment,
        check=False,
    )

    assert run.exit_code != 0
    assert run.count("changed") == 0
    assert all(word in " ".join(run.output.split()) for word in words), run.output
    assert traces_of(absent_lab) == {}


def test_subnet_of_another_lab_is_refused(bare_lab: Lab, absent_lab: Lab) -> None:
    twin = Lab(absent_lab.inventory, absent_lab.name, bare_lab.subnet)

    run = twin.playbook("lab.yml", check=False)

    assert run.exit_code != 0
    assert "in use on this machine" in " ".join(run.output.split())
    assert run.count("changed") == 0


def test_name_of_another_lab_is_refused(bare_lab: Lab) -> None:
    twin = Lab("inventories/lab_cluster", bare_lab.name, bare_lab.subnet)

    run = twin.playbook("lab.yml", check=False)

    assert run.exit_code != 0
    assert "stands already and is another one" in " ".join(run.output.split())
    assert bare_lab.hosts["lab1"].answers()


def test_inventory_without_lab_hosts_is_refused() -> None:
    run = run_playbook("lab.yml", inventory="inventories/production", check=False)

    assert run.exit_code != 0
    assert "no hosts in group `lab`" in " ".join(run.output.split())
