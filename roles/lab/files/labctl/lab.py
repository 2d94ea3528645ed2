"""A lab as a whole: its hosts, its network and what it holds of this machine."""

import ipaddress
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from base import recipe
from cgroups import now, v2_root
from commands import LabError, run, wait_until
from hosts import Host
from kernel import KernelSettings
from network import Network, labs_with_a_bridge, routes_into

STOP_SECONDS = 30
COMMANDS = ("systemd-nspawn", "mmdebstrap", "ip", "iptables", "ssh-keygen", "apt-get")


def subdirectories(directory: Path) -> set[str]:
    """Name the directories in a directory, which need not exist."""
    return {entry.name for entry in directory.iterdir() if entry.is_dir()} if directory.is_dir() else set()


def end_connection(socket: Path) -> None:
    """End a kept ssh connection by its control socket, and see its process gone."""
    control = ["ssh", "-o", f"ControlPath={socket}", "lab", "-O"]
    said = subprocess.run([*control, "check"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - as run
    run(*control, "exit", check=False)
    if master := re.search(r"pid=(\d+)", said):
        wait_until(lambda: not now(Path("/proc", master[1], "cmdline")), STOP_SECONDS)


class Lab:
    """A lab by its directory, whose last component is its name.

    `lab.json` there says what it is to be: `base`, the directory below every host's own layer; `subnet`, as
    address/prefix; `hosts`, each host's address by its name.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.name = directory, directory.name
        self.network = Network(self.name)
        self.kernel = KernelSettings(directory.parent)
        self.known_hosts = directory / "ssh/known_hosts"

    @staticmethod
    def all_below(labs: Path) -> list["Lab"]:
        """List every lab that left a trace: a directory, cgroups or a bridge."""
        names = subdirectories(labs) | subdirectories(v2_root() / "flexcore-ops") | labs_with_a_bridge()
        return [Lab(labs / name) for name in sorted(names)]

    def plan(self) -> dict[str, Any]:
        """Read lab.json; empty for a lab that is not set up."""
        file = self.directory / "lab.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def host(self, name: str) -> Host:
        """Name one host, whether or not it exists."""
        return Host(self.directory, name)

    def hosts(self) -> list[Host]:
        """List every host that left a trace: files, or cgroups."""
        names = subdirectories(self.directory / "hosts") | subdirectories(v2_root() / "flexcore-ops" / self.name)
        return [self.host(name) for name in sorted(names)]

    def known(self) -> str:
        """Write known hosts for ssh, from the hosts' disks rather than from the network."""
        addresses = self.plan().get("hosts", {})
        return "".join(f"{addresses[host.name]} {host.public_key()}\n" for host in self.hosts() if host.public_key())

    def inspect(self, subnet: str) -> dict[str, Any]:
        """Tell what is there and what would hinder a lab on this subnet. Changes nothing, needs no root."""
        existing = next(parent for parent in (self.directory, *self.directory.parents) if parent.exists())
        root = os.geteuid() == 0
        return {
            "root": root,
            "missing": [command for command in COMMANDS if shutil.which(command) is None],
            "routes": routes_into(subnet, except_by=self.network.bridge) if shutil.which("ip") else [],
            "filesystem": run("findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(existing)).strip(),
            "free_mb": shutil.disk_usage(existing).free // 2**20,
            "base_recipe": recipe(),
            "plan": self.plan(),
            "bases_in_use": [plan["base"] for lab in self.all_below(self.directory.parent) if (plan := lab.plan())],
            "running": [host.name for host in self.hosts() if host.running()],
            "reachable": root
            and self.network.is_up(subnet)
            and self.known_hosts.exists()
            and self.known_hosts.read_text() == self.known(),
        }

    def start(self, names: list[str]) -> None:
        """Bring up the network and boot hosts; what is up already is left alone."""
        plan = self.plan()
        if not plan:
            raise LabError(f"there is no lab in {self.directory}: run `make up` first")
        self.kernel.prepare(len(names))
        if not self.network.is_up(plan["subnet"]):
            self.network.up(plan["subnet"], [host.link for host in self.hosts()])
        for name in names:
            self.host(name).start(plan["base"])
        self.known_hosts.write_text(self.known())

    def keep(self, name: str) -> None:
        """Run one host in this process until it is powered off."""
        plan = self.plan()
        subnet = ipaddress.IPv4Network(plan["subnet"])
        address = f"{plan['hosts'][name]}/{subnet.prefixlen}"
        self.host(name).keep(address, gateway=str(next(subnet.hosts())), bridge=self.network.bridge)

    def stop(self, hosts: list[Host]) -> None:
        """Power hosts off, all at once; one that takes too long loses its power."""
        for host in hosts:
            host.ask_to_stop()
        wait_until(lambda: not any(host.group.populated() for host in hosts), STOP_SECONDS)
        for host in hosts:
            host.kill()

    def down(self) -> None:
        """Remove the lab and every trace of it, as far as it is there."""
        for entry in self.directory.glob("ssh/*@*"):
            if stat.S_ISSOCK(entry.stat().st_mode):
                end_connection(entry)
        self.stop(self.hosts())
        for host in self.hosts():
            host.remove()
        self.network.down()
        if self.directory.exists():
            shutil.rmtree(self.directory)
        self.kernel.restore()
