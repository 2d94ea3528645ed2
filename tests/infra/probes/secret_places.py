"""Where secrets stand that must not stand there: processes, units, the journal, files."""

import os
import pathlib
import stat
import subprocess

LARGEST_FILE = 1 << 20
JOURNAL_LINES = "5000"


def processes():
    """Environment and arguments of every process."""
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                yield f"{name} of process {directory.name}", (directory / name).read_bytes()
            except OSError:
                continue  # it ended meanwhile


def files(roots, allowed, needed):
    """Files below `roots` that have the permission bits `needed` (search permission for a directory), with content."""
    for root in roots:
        for directory, names, entries in os.walk(root):
            here = pathlib.Path(directory)
            search = stat.S_IXOTH if needed else 0
            names[:] = [name for name in names if str(here / name) not in allowed and permits(here / name, search)]
            for path in (here / entry for entry in entries):
                try:
                    if permits(path, needed) and path.stat().st_size <= LARGEST_FILE:
                        yield str(path), path.read_bytes()
                except OSError:
                    continue  # it was removed meanwhile


def permits(path, needed):
    """Whether a regular file or a directory has the permission bits `needed`."""
    mode = path.lstat().st_mode
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and mode & needed == needed


def printed(*command):
    """What a command prints."""
    return subprocess.run(command, capture_output=True, timeout=30, check=False).stdout


def collect(secrets, public, private, allowed):
    """Places where a secret was found, by its name, and how many were searched.

    Below `public`, files that everybody can read are searched; below `private`, all files; below `allowed`, none.
    """
    places = [
        *processes(),
        *files(public, allowed, stat.S_IROTH),
        *files(private, allowed, 0),
        ("the units", printed("systemctl", "show", "--all", "*.service", "*.timer")),
        ("the journal", printed("journalctl", "--no-pager", "--output", "cat", "--lines", JOURNAL_LINES)),
    ]
    found = {
        name: sorted({place for place, content in places if secret.encode() in content})
        for name, secret in secrets.items()
    }
    return {"searched": len(places), "found": {name: where for name, where in found.items() if where}}
