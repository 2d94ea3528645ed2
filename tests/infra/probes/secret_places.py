"""Where secrets stand that must not stand there: processes, units, the journal, files that anyone can read."""

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


def readable_files(roots):
    """Files that every user of the host can read: the file and each directory above it must allow that."""
    for root in roots:
        for directory, names, files in os.walk(root):
            here = pathlib.Path(directory)
            names[:] = [name for name in names if permits(here / name, stat.S_IXOTH)]
            for path in (here / name for name in files):
                if permits(path, stat.S_IROTH) and path.stat().st_size <= LARGEST_FILE:
                    yield str(path), path.read_bytes()


def permits(path, permission):
    """Whether a regular file or directory gives `permission` to everybody."""
    mode = path.lstat().st_mode
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and bool(mode & permission)


def printed(*command):
    """What a command prints."""
    return subprocess.run(command, capture_output=True, timeout=30, check=False).stdout


def collect(secrets, units, files, roots):
    """Places where a secret was found, by the secret's name. `files` are searched whoever may read them."""
    places = [
        *processes(),
        *readable_files(roots),
        *((path, pathlib.Path(path).read_bytes()) for path in files),
        *((f"unit {unit}", printed("systemctl", "cat", unit) + printed("systemctl", "show", unit)) for unit in units),
        ("the journal", printed("journalctl", "--no-pager", "--output", "cat", "--lines", JOURNAL_LINES)),
    ]
    found = {
        name: [place for place, content in places if secret.encode() in content] for name, secret in secrets.items()
    }
    return {"searched": len(places), "found": {name: places for name, places in found.items() if places}}
