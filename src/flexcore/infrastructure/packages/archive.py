"""Opens the archives that strangers send: .whl, which is a zip, and .tar.gz.

Nothing is unpacked before every entry was looked at. What could leave the directory it is unpacked into, fill the disk,
or mean one thing here and another elsewhere is refused, and all of it is named at once.
"""

import gzip
import io
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from flexcore.domain.errors import FieldError, InvalidInput

FIELD: Final = "package"
MOST_NAMED: Final = 100
CHUNK_BYTES: Final = 1 << 18

_LONGEST_PATH: Final = 1024
_LONGEST_NAME: Final = 255
_DEEPEST: Final = 32
_LARGEST_DIRECTORY_BYTES: Final = 8 << 20
_LARGEST_HEADER_BYTES: Final = 1 << 20
# Below this a high ratio is a file of blanks, and no bomb.
_RATIO_COUNTS_FROM_BYTES: Final = 16 << 20
_SPECIAL_BITS: Final = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_END_OF_DIRECTORY: Final = struct.Struct("<4s4H2LH")
_ZIP64_LOCATOR_BYTES: Final = 20
_ENCRYPTED: Final = 1
_BROKEN: Final = (
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, struct.error),
    *(NotImplementedError, RuntimeError, UnicodeError, ValueError, OverflowError),
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large an archive may become: entries, bytes unpacked, and bytes unpacked for each byte packed."""

    entries: int = 20_000
    unpacked_bytes: int = 1 << 30
    ratio: int = 200


BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory. `name` is relative, with slashes; `index` tells it from others of the same name."""

    name: str
    size: int
    executable: bool
    directory: bool
    index: int


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive in which nothing is wrong."""

    entries: tuple[Entry, ...]
    wheel: bool
    open: Callable[[Entry], IO[bytes]]

    @property
    def files(self) -> dict[str, Entry]:
        """Return the files by their names."""
        return {entry.name: entry for entry in self.entries if not entry.directory}

    def read(self, entry: Entry, most_bytes: int) -> bytes:
        """Read a small file whole; raises InvalidInput if it is larger than `most_bytes`."""
        if entry.size > most_bytes:
            raise InvalidInput.field(FIELD, f"holds '{entry.name}' of {entry.size} bytes, more than {most_bytes}")
        with self.open(entry) as file:
            return b"".join(self.chunks(file, entry))

    def chunks(self, file: IO[bytes], entry: Entry) -> Iterator[bytes]:
        """Give the content of `entry`; raises InvalidInput if it is not as long as it says, or damaged."""
        left = entry.size
        try:
            while chunk := file.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
        except _BROKEN as error:
            raise InvalidInput.field(FIELD, f"is damaged at '{entry.name}'") from error
        if left != 0:
            raise InvalidInput.field(FIELD, f"lies about the size of '{entry.name}'")


@contextmanager
def open_archive(path: Path, bounds: Bounds = BOUNDS) -> Iterator[Archive]:
    """Open `path`, a zip or a gzipped tar whatever its name; raises InvalidInput naming everything that is wrong."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == b"PK\x03\x04":
            with _opened(_zip(file), bounds, path.stat().st_size, wheel=True) as archive:
                yield archive
        elif magic[:2] == b"\x1f\x8b":
            with tempfile.TemporaryFile(dir=path.parent) as plain:
                _inflate(file, plain, bounds)
                plain.seek(0)
                with _opened(_tar(plain), bounds, path.stat().st_size, wheel=False) as archive:
                    yield archive
        else:
            raise InvalidInput.field(FIELD, "is neither a .whl nor a .tar.gz")


_Found = Iterator[tuple[str, int, int, Callable[[], IO[bytes]], str]]
"""Name, size, mode, what opens it, and what is wrong with its kind."""


@contextmanager
def _opened(found: _Found, bounds: Bounds, packed_bytes: int, *, wheel: bool) -> Iterator[Archive]:
    entries: list[Entry] = []
    openers: list[Callable[[], IO[bytes]]] = []
    wrong: list[str] = []
    try:
        for index, (raw, size, mode, opener, kind) in enumerate(found):
            if index >= bounds.entries:
                raise InvalidInput.field(FIELD, f"holds more than {bounds.entries} entries")
            name = raw.rstrip("/")
            problem = kind or _name_problem(name)
            if not problem and mode & _SPECIAL_BITS:
                problem = "has a setuid, setgid or sticky bit"
            if not problem and size < 0:
                problem = "is smaller than nothing"
            if problem:
                wrong.append(f"holds {raw[:200]!r}, which {problem}")
            directory = raw.endswith("/")
            entries.append(Entry(name, 0 if directory else size, bool(mode & 0o111), directory, index))
            openers.append(opener)
    except _BROKEN as error:
        raise InvalidInput.field(FIELD, "is damaged: its entries can't be read") from error
    wrong.extend(_clashes(entries))
    total = sum(entry.size for entry in entries)
    if total > bounds.unpacked_bytes:
        wrong.append(f"unpacks to {total} bytes, more than {bounds.unpacked_bytes}")
    elif total > _RATIO_COUNTS_FROM_BYTES and total > bounds.ratio * packed_bytes:
        wrong.append(f"unpacks to more than {bounds.ratio} times its size")
    if wrong:
        raise refused([FieldError(FIELD, problem) for problem in wrong])
    yield Archive(tuple(entries), wheel, lambda entry: openers[entry.index]())


def refused(errors: list[FieldError]) -> InvalidInput:
    """Make one error of many, of which the first hundred are told."""
    told = errors[:MOST_NAMED]
    more = f"; and {len(errors) - len(told)} more" if len(errors) > len(told) else ""
    return InvalidInput("; ".join(f"{error.field} {error.message}" for error in told) + more, tuple(told))


def _name_problem(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "has an absolute path"
    if ".." in parts:
        return "leads out of the package"
    if not name or "" in parts or "." in parts:
        return "has no proper path"
    if "\\" in name or any(unicodedata.category(character)[0] == "C" for character in name):
        return "has a backslash or a character that can't be seen in its name"
    if len(parts) > _DEEPEST:
        return "lies too deep"
    if len(name.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        return "has a name that is too long"
    return ""


def _clashes(entries: list[Entry]) -> Iterator[str]:
    """Find names that are the same, or would be on some file systems, and files that would have to be directories."""
    seen: dict[str, Entry] = {}
    files: set[str] = set()
    for entry in entries:
        key = _folded(entry.name)
        other = seen.setdefault(key, entry)
        if other is not entry and not (entry.directory and other.directory and entry.name == other.name):
            same = entry.name == other.name
            yield f"holds '{entry.name}' twice" if same else f"holds '{entry.name}' and '{other.name}', which clash"
        if not entry.directory:
            files.add(key)
    spelled: dict[str, str] = {}
    for entry in entries:
        for parent in list(PurePosixPath(entry.name).parents)[:-1]:
            key = _folded(str(parent))
            if key in files:
                yield f"holds '{entry.name}' below '{parent}', which is a file"
            elif spelled.setdefault(key, str(parent)) != str(parent):
                yield f"holds '{entry.name}' below '{parent}', which clashes with '{spelled[key]}'"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _zip(file: IO[bytes]) -> _Found:
    _check_directory(file)
    archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = "" if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else "is neither a file nor a directory"
        if stat.S_ISLNK(mode):
            kind = "is a link"
        elif info.flag_bits & _ENCRYPTED:
            kind = "is encrypted"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            kind = "is compressed in an unusual way"
        elif info.is_dir() and info.file_size:
            kind = "is a directory with content"
        # What the central directory says is what is unpacked; the name before a NUL is not all of it.
        yield info.orig_filename, info.file_size, mode, lambda info=info: archive.open(info), kind  # type: ignore[misc]


def _check_directory(file: IO[bytes]) -> None:
    """Bound the directory of a zip before anything reads it into memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_OF_DIRECTORY.size - 0xFFFF - _ZIP64_LOCATOR_BYTES))
    tail = file.read()
    file.seek(0)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0:
        raise zipfile.BadZipFile
    fields = _END_OF_DIRECTORY.unpack_from(tail, place)
    directory_bytes = fields[5]
    locator = tail[max(0, place - _ZIP64_LOCATOR_BYTES) : place]
    if locator.startswith(b"PK\x06\x07") or directory_bytes > _LARGEST_DIRECTORY_BYTES:
        raise InvalidInput.field(FIELD, "has a directory of entries that is too large")


def _tar(file: IO[bytes]) -> _Found:
    archive = tarfile.TarFile(fileobj=_SmallReads(file), mode="r", errorlevel=2)  # type: ignore[arg-type]
    for member in archive:
        kind = ""
        if member.issym() or member.islnk():
            kind = "is a link"
        elif member.issparse() or not (member.isreg() or member.isdir()):
            kind = "is neither a file nor a directory"
        # As `tar` writes them when it packs the directory it stands in.
        name = member.name.removeprefix("./")
        if member.isdir() and name in ("", "."):
            continue
        name = f"{name}/" if member.isdir() else name
        start, size = member.offset_data, member.size
        yield name, size, member.mode, lambda start=start, size=size: _Part(file, start, size), kind  # type: ignore[misc]


class _SmallReads:
    """A file that refuses to be read in large pieces, such as the headers of a tar that never end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if size > _LARGEST_HEADER_BYTES:
            raise tarfile.HeaderError("a header is too large")
        return self._file.read(size)


class _Part(io.RawIOBase):
    """A part of a file, from its own place on."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file = file
        self._next = start
        self._end = start + size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._next)
        self._file.seek(self._next)
        chunk = self._file.read(left if size < 0 else min(size, left))
        self._next += len(chunk)
        return chunk


def _inflate(packed: IO[bytes], plain: IO[bytes], bounds: Bounds) -> None:
    """Unzip into a file; a tar's headers come on top of what it holds."""
    most = bounds.unpacked_bytes + bounds.entries * 2048
    written = 0
    try:
        with gzip.open(packed) as inflated:
            while chunk := inflated.read(CHUNK_BYTES):
                written += len(chunk)
                if written > most:
                    raise InvalidInput.field(FIELD, f"unpacks to more than {bounds.unpacked_bytes} bytes")
                if written > _RATIO_COUNTS_FROM_BYTES and written > bounds.ratio * max(packed.tell(), 1):
                    raise InvalidInput.field(FIELD, f"unpacks to more than {bounds.ratio} times its size")
                plain.write(chunk)
    except _BROKEN as error:
        raise InvalidInput.field(FIELD, "is damaged: it can't be unpacked") from error
