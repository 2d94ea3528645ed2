"""What decides the content of a base, the Debian root directory below every host's own layer."""

import hashlib
import os
from pathlib import Path

from commands import run

SHAPE = Path(__file__).parent.parent / "base"
APT_SOURCES = Path("/etc/apt")


def archives() -> dict[str, str]:
    """Return where this machine's apt gets Debian from: an archive's label (Debian, Debian-Security) to its address."""
    lines = run("apt-get", "indextargets", "--format", "$(ORIGIN)\t$(LABEL)\t$(REPO_URI)").splitlines()
    targets = (line.split("\t") for line in lines)
    return {target[1]: target[2].rstrip("/") for target in targets if target[0] == "Debian"}


def recipe() -> str:
    """Return a digest of the files that shape a base and of this machine's apt sources.

    The sources stand for the archives, which apt takes half a second to tell.
    """
    shape = [path for path in SHAPE.rglob("*") if path.is_file()]
    sources = [path for path in APT_SOURCES.glob("sources.list*/**/*") if path.is_file()]
    digest = hashlib.sha256()
    for file in sorted([*shape, *sources, APT_SOURCES / "sources.list"]):
        if file.exists():
            name = file.relative_to(SHAPE if file.is_relative_to(SHAPE) else APT_SOURCES)
            digest.update(f"{name} {os.access(file, os.X_OK)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
