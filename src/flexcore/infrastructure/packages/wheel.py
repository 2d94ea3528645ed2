"""Wheels: what of them goes where, as PEP 427 says, and whether this interpreter can use them."""

from collections.abc import Iterator
from email.parser import Parser
from functools import cache
from typing import Final

from packaging.tags import parse_tag, sys_tags

from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.packages.archive import FIELD, Archive, Entry

_LARGEST_METADATA_BYTES: Final = 1 << 20
_LIBRARIES: Final = ("purelib", "platlib")


def check_wheel(archive: Archive, name: str) -> str:
    """Return the name of the wheel's .dist-info; raises InvalidInput if it is no wheel, or none for this Python."""
    found = {entry.name.split("/")[0] for entry in archive.entries if entry.name.split("/")[0].endswith(".dist-info")}
    if len(found) != 1 or (marker := archive.files.get(f"{next(iter(found))}/WHEEL")) is None:
        raise InvalidInput.field(FIELD, f"is no wheel: {name} has no single .dist-info with a file WHEEL")
    text = archive.read(marker, _LARGEST_METADATA_BYTES).decode("utf-8", "replace")
    tags = {str(tag) for line in Parser().parsestr(text).get_all("Tag", []) for tag in parse_tag(line)}
    if not tags & _usable():
        listed = ", ".join(sorted(tags)[:5]) or "none"
        raise InvalidInput.field(FIELD, f"can't be used here: {name} is for {listed}, which this Python is not")
    return found.pop()


def library_files(archive: Archive) -> Iterator[tuple[str, Entry]]:
    """Give the files that belong into site-packages, with their places there; scripts and headers are for nobody."""
    for entry in archive.entries:
        if entry.directory:
            continue
        first, _, rest = entry.name.partition("/")
        if not first.endswith(".data") or not rest:
            yield entry.name, entry
        elif rest.split("/")[0] in _LIBRARIES and "/" in rest:
            yield rest.partition("/")[2], entry


@cache
def _usable() -> frozenset[str]:
    return frozenset(map(str, sys_tags()))
