"""Gives every build a version that names its content.

A wheel's version is the release number plus a digest of everything that decides what a host runs: the sources and
the lock. The same content is the same version on every machine, so a deploy changes a host exactly when the content
changed, and two different builds never share a release directory.
"""

import hashlib
from pathlib import Path

from setuptools import find_packages, setup

RELEASE = "0.1.0"
ROOT = Path(__file__).parent
CONTENT = ("src", "module_utils/flexcore_client", "pyproject.toml", "requirements/runtime.txt")


def content_digest() -> str:
    """Digest of the deployed content: eight hexadecimal digits, stable across machines and checkouts."""
    digest = hashlib.sha256()
    for entry in CONTENT:
        path = ROOT / entry
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts or any(part.endswith(".egg-info") for part in file.parts):
                continue
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


setup(version=f"{RELEASE}+{content_digest()}", packages=[*find_packages("src"), "flexcore_client"])
