"""What keeps plugins apart from the host: the sandbox's user, its socket, its network, and the plugins' code."""

import os
import pathlib
import pwd
import subprocess

USER = "flexcore-sandbox"


def permitted(test, place):
    """Whether the sandbox's user may do with a place what a test of the shell asks for."""
    account = pwd.getpwnam(USER)
    done = subprocess.run(
        ["/usr/bin/test", test, place], user=account.pw_uid, group=account.pw_gid, extra_groups=[], check=False
    )
    return done.returncode == 0


def described(place):
    """Owner, group and mode of a place; None if it is not there."""
    path = pathlib.Path(place)
    if not path.exists():
        return None
    return f"{path.owner()} {path.group()} {oct(path.stat().st_mode & 0o7777)}"


def network(pid):
    """Which network namespace a process is in."""
    return pathlib.Path(f"/proc/{pid}/ns/net").readlink()


def collect(pid, socket, plugins, private):
    """Facts about the unit with the main process `pid`, its `socket`, the directory `plugins` and `private` places."""
    account = pwd.getpwnam(USER)
    entries = [place for root, _, files in os.walk(plugins) for place in (root, *(f"{root}/{name}" for name in files))]
    return {
        "shell": account.pw_shell,
        "groups": subprocess.check_output(["/usr/bin/id", "-nG", USER], text=True).split(),
        "own_network": network(pid) != network(1),
        "environment": pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0"),
        "socket": described(socket),
        "socket_directory": described(str(pathlib.Path(socket).parent)),
        "plugins": described(plugins),
        "writable": [place for place in entries if permitted("-w", place)],
        # What begins with a dot is the server's own: where it unpacks, and that it has.
        "unreadable": [place for place in entries if "/." not in place and not permitted("-r", place)],
        "readable": [place for place in private if permitted("-r", place)],
    }
