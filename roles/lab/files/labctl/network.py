"""A lab's bridge and the firewall rules that let its hosts reach out."""

import ipaddress
import json
import shlex
import shutil
from pathlib import Path

from commands import run

# With the lab's name, at most 11 characters, it makes a name that the kernel takes for an interface: 15 at most.
BRIDGE_PREFIX = "fcl-"


def routes_into(subnet: str, except_by: str) -> list[str]:
    """List the machine's routes, other than by one interface, that lead into a part of the subnet."""
    wanted = ipaddress.IPv4Network(subnet)
    routes = json.loads(run("ip", "-json", "-4", "route", "show"))
    return [
        f"{route['dst']} by {route.get('dev', 'no interface')}"
        for route in routes
        if route["dst"] != "default"
        and route.get("dev") != except_by
        and ipaddress.IPv4Network(route["dst"]).overlaps(wanted)
    ]


def labs_with_a_bridge() -> set[str]:
    """Name the labs that have a bridge."""
    return {bridge.name.removeprefix(BRIDGE_PREFIX) for bridge in Path("/sys/class/net").glob(f"{BRIDGE_PREFIX}*")}


class Network:
    """One bridge; every rule carries the lab's name as its comment, so that only the lab's own are ever touched."""

    def __init__(self, lab: str) -> None:
        self.bridge = f"{BRIDGE_PREFIX}{lab}"
        self.tag = f"flexcore-ops-lab-{lab}"

    def rules(self, subnet: str) -> list[tuple[str, str, str]]:
        """Word the rules as (table, chain, rule): hosts may reach out, and answers may come back."""
        return [
            ("nat", "POSTROUTING", f"-s {subnet} ! -d {subnet} -j MASQUERADE"),
            ("filter", "FORWARD", f"-i {self.bridge} -j ACCEPT"),
            ("filter", "FORWARD", f"-o {self.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        ]

    def present_rules(self) -> list[tuple[str, list[str]]]:
        """Find the lab's rules in the running firewall, as (table, rule in words)."""
        found = []
        for table in ("nat", "filter") if shutil.which("iptables-save") else ():
            for line in run("iptables-save", "-t", table).splitlines():
                words = shlex.split(line)
                if words[:1] == ["-A"] and self.tag in words:
                    found.append((table, words[1:]))
        return found

    def is_up(self, subnet: str) -> bool:
        """Whether the bridge and all rules are there."""
        return self.bridge_exists() and len(self.present_rules()) == len(self.rules(subnet))

    def bridge_exists(self) -> bool:
        """Whether the kernel has the bridge."""
        return Path("/sys/class/net", self.bridge).exists()

    def up(self, subnet: str, links: list[str]) -> None:
        """Make the bridge, this machine being the subnet's first address, and join the links that are there already."""
        self.down()
        network = ipaddress.IPv4Network(subnet)
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{next(network.hosts())}/{network.prefixlen}", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for link in links:
            run("ip", "link", "set", link, "master", self.bridge, check=False)
        for table, chain, rule in self.rules(subnet):
            run("iptables", "-w", "-t", table, "-I", chain, *shlex.split(rule), "-m", "comment", "--comment", self.tag)

    def down(self) -> None:
        """Remove the rules and the bridge, as far as they are there."""
        for table, rule in self.present_rules():
            run("iptables", "-w", "-t", table, "-D", *rule)
        if self.bridge_exists():
            run("ip", "link", "delete", self.bridge)
