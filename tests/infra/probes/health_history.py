"""What the scheduled check remembers: the last line of its history, and how old that is by this host's clock."""

import datetime
import json
import pathlib


def collect(directory):
    """The last check with its age in seconds, and the sizes of the files that hold the history."""
    path = pathlib.Path(directory)
    lines = (path / "history.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    now = datetime.datetime.now(datetime.UTC)
    checked = datetime.datetime.fromisoformat(last["checked_at"].replace("Z", "+00:00"))
    return {
        "last": last,
        "age_seconds": (now - checked).total_seconds(),
        "sizes": {file.name: file.stat().st_size for file in path.glob("history*.jsonl")},
    }
