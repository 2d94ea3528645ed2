"""Boots, breaks and ends the hosts of a lab, and owns all they hold of this machine.

    python labctl LAB_DIRECTORY VERB [HOST ...]

Role `lab` lays out the hosts' files in the directory. What a host needs beyond files is made here and undone by
`down`: its mount, its cgroups, the lab's bridge and firewall rules, kernel settings. What runs is read from the
kernel and never from a pid file, so whatever a killed run left behind is seen as it is. Standard library only.
"""

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from base import archives
from cgroups import v2_root
from commands import LabError, run
from lab import Lab


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="labctl", description="Hosts of a lab, from the outside.")
    parser.add_argument("directory", type=Path, help="the lab's directory; for down-all the directory above")
    verbs = parser.add_subparsers(dest="verb", required=True)
    inspect = verbs.add_parser("inspect", help="print, as JSON, what is there and what stands in a lab's way")
    inspect.add_argument("--subnet", required=True, help="the subnet that the lab is to have, such as 10.77.0.0/24")
    verbs.add_parser("archives", help="print, as JSON, where this machine's apt gets Debian from")
    for verb, help_text in {
        "start": "boot hosts, and the network first",
        "stop": "power hosts off",
        "kill": "pull the plug of hosts",
        "remove": "end hosts and remove their files",
        "cut": "unplug hosts from the network",
        "join": "plug hosts in again",
        "hang": "freeze every process of hosts",
        "thaw": "let frozen hosts go on",
    }.items():
        verbs.add_parser(verb, help=help_text).add_argument("hosts", nargs="+", metavar="HOST")
    keep = verbs.add_parser("keep", help="run a host in this process, over reboots, until it is powered off")
    keep.add_argument("host", metavar="HOST")
    verbs.add_parser("down", help="remove the lab and every trace of it")
    verbs.add_parser("down-all", help="remove every lab of this machine")
    return parser.parse_args()


@contextmanager
def alone() -> Iterator[None]:
    """One change to labs at a time. The lock is on the cgroup root: all labs share it, none leaves a file for it."""
    descriptor = os.open(v2_root(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def change(lab: Lab, verb: str, names: list[str]) -> None:
    """Carry out one verb on hosts of a lab."""
    hosts = [lab.host(name) for name in names]
    if verb == "start":
        lab.start(names)
    elif verb == "stop":
        lab.stop(hosts)
    else:
        for host in hosts:
            match verb:
                case "kill":
                    host.kill()
                case "remove":
                    host.remove()
                case "cut" | "join":
                    run("ip", "link", "set", host.link, "down" if verb == "cut" else "up")
                case "hang" | "thaw":
                    host.group.freeze(verb == "hang")


def require_root(verb: str) -> None:
    """Raise LabError unless this is root."""
    if os.geteuid() != 0:
        raise LabError(f"`{verb}` needs root: run it with sudo")


def take_down(labs: list[Lab]) -> None:
    """Remove labs and print their names; without a lab there is nothing to do, and no root is needed for that."""
    if labs:
        require_root("down")
        with alone():
            for lab in labs:
                lab.down()
                sys.stdout.write(f"{lab.name}\n")


def main() -> None:
    """Run one verb. Raises LabError when it cannot be done."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where ip and iptables are, also for those who have no sbin in their path
    args = arguments()
    directory = args.directory.resolve()
    lab = Lab(directory)
    match args.verb:
        case "inspect":
            sys.stdout.write(json.dumps(lab.inspect(args.subnet)))
        case "archives":
            sys.stdout.write(json.dumps(archives()))
        case "down-all":
            take_down(Lab.all_below(directory))
        case "down":
            take_down([each for each in Lab.all_below(directory.parent) if each.name == lab.name])
        case "keep":
            lab.keep(args.host)
        case verb:
            require_root(verb)
            with alone():
                change(lab, verb, args.hosts)


try:
    main()
except LabError as error:
    sys.exit(f"labctl: {error}")
