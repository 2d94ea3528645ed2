"""A lab and its hosts in the hands of a test: command them from inside, break them from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook

LABS = Path("/var/lib/flexcore-ops")
LABCTL = ROOT / "roles/lab/files/labctl"
ANSWER_SECONDS = 30


def eventually(what: str, condition: Callable[[], bool], seconds: float = ANSWER_SECONDS) -> None:
    """Wait for a condition; AssertionError naming `what` if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


class Lab:
    """One lab of an inventory, under a name and a subnet of its own."""

    def __init__(self, inventory: str, name: str, subnet: str) -> None:
        self.inventory, self.name, self.subnet = inventory, name, subnet
        self.directory = LABS / name
        self.environment = {"FLEXCORE_LAB_NAME": name, "FLEXCORE_LAB_SUBNET": subnet}

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a command that is to find this lab."""
        return os.environ | {"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"} | self.environment

    def playbook(self, playbook: str, *arguments: str, check: bool = True) -> PlaybookRun:
        """Run a playbook on the lab's inventory."""
        return run_playbook(playbook, *arguments, inventory=self.inventory, environment=self.environment, check=check)

    def up(self) -> PlaybookRun:
        """Boot the lab, or what is missing of it."""
        return self.playbook("lab.yml")

    def down(self) -> PlaybookRun:
        """Remove the lab."""
        return self.playbook("lab_down.yml")

    def control(self, verb: str, *hosts: str) -> None:
        """Do something to hosts from outside, by the program that boots them."""
        subprocess.run([sys.executable, LABCTL, self.directory, verb, *hosts], check=True)

    @cached_property
    def hosts(self) -> dict[str, LabHost]:
        """The hosts by name; the lab must have been up once."""
        addresses = json.loads((self.directory / "lab.json").read_text())["hosts"]
        return {name: LabHost(self, name, address) for name, address in addresses.items()}


class LabHost:
    """One host of a lab."""

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        self.lab, self.name, self.address = lab, name, address

    def run(self, command: str, *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command as `deploy` over ssh; `sudo` in it needs no password.

        With `check` a failure is an AssertionError with the output. An unreachable host gives exit code 255.
        """
        done = subprocess.run(
            [*self.ssh(), command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{self.name}: `{command}` failed: {done.stdout}{done.stderr}"
        return done

    def ssh(self) -> list[str]:
        """The command line, but for the command, that runs one on the host as `deploy`."""
        ssh = self.lab.directory / "ssh"
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "ControlMaster": "auto",
            # Not Ansible's: these notice a host that is gone sooner.
            "ControlPath": f"{ssh}/test-%r@%h",
            "ControlPersist": "60",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "ServerAliveInterval": "1",
            "ServerAliveCountMax": "3",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f"{ssh}/known_hosts",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", *words, "-i", f"{ssh}/id_ed25519", f"deploy@{self.address}"]

    def answers(self) -> bool:
        """Whether the host lets `deploy` in and runs a command."""
        return self.run("true", check=False).returncode == 0

    def boot_id(self) -> str:
        """What tells one boot of the host from another; empty while it does not answer."""
        return self.run("cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip()

    def wait(self) -> None:
        """Wait until the host answers."""
        eventually(f"{self.name} answers", self.answers)

    def kill(self) -> None:
        """Cut the power: nothing is written, no connection is closed."""
        self.lab.control("kill", self.name)

    def stop(self) -> None:
        """Power the host off in good order."""
        self.lab.control("stop", self.name)

    def start(self) -> None:
        """Boot the host and wait until it answers."""
        self.lab.control("start", self.name)
        self.wait()

    def cut(self) -> None:
        """Unplug the host from the network."""
        self.lab.control("cut", self.name)

    def join(self) -> None:
        """Plug the host into the network again and wait until it answers."""
        self.lab.control("join", self.name)
        self.wait()

    def hang(self) -> None:
        """Freeze every process; the kernel still accepts connections."""
        self.lab.control("hang", self.name)

    def thaw(self) -> None:
        """Let a frozen host go on and wait until it answers."""
        self.lab.control("thaw", self.name)
        self.wait()

    def kill_service(self, unit: str) -> None:
        """End a service's main process with SIGKILL; what systemd then does is the unit's matter."""
        self.run(f"sudo systemctl kill --signal=KILL --kill-whom=main {unit}")
