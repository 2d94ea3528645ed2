"""Packages that are sent as multipart/form-data: written to a file as they come, and never held in memory."""

import asyncio
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from flexcore.presentation.http.problems import HttpError, ProblemField, bad_request
from flexcore.presentation.http.validation import ClientGoneError

FORM: Final = "multipart/form-data"
PACKAGE: Final = "package"
SIGNATURE: Final = "signature"
FORM_SCHEMA: Final = {
    "type": "object",
    "required": [PACKAGE],
    "additionalProperties": False,
    "properties": {
        PACKAGE: {"type": "string", "contentMediaType": "application/octet-stream"},
        SIGNATURE: {"type": "string", "maxLength": 200},
    },
}

_LONGEST_BOUNDARY: Final = 70
_LONGEST_SIGNATURE: Final = 200
_MOST_OVERHEAD_BYTES: Final = 1 << 16
_FLUSH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SentPackage:
    """A package as it was sent: the file, the SHA-256 of what is in it, and the signature that was sent along."""

    path: Path
    digest: str
    signature: str | None

    def discard(self) -> None:
        """Remove the file."""
        _discard(self.path)


class PackageUploads:
    """Receives packages of at most `max_bytes` into files of `directory`."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    async def receive(self, scope: Scope, receive: Receive) -> SentPackage:
        """Write the package of a request to a file; raises HttpError 400, 413, 503, or ClientGoneError."""
        headers = dict(scope["headers"])
        if int(headers.get(b"content-length", b"0")) > self._max_bytes + _MOST_OVERHEAD_BYTES:
            raise self._too_large()
        boundary = parse_options_header(headers[b"content-type"])[1].get(b"boundary", b"")
        if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
            raise _wrong("body", "is multipart/form-data without a boundary")
        try:
            descriptor, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._directory)
        except OSError as error:
            raise _no_room(error) from error
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                form = _Form(file, boundary, self)
                return await self._read(form, receive, path)
        except BaseException:
            _discard(path)
            raise

    async def _read(self, form: "_Form", receive: Receive, path: Path) -> SentPackage:
        received, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk, more = message.get("body", b""), message.get("more_body", False)
            received += len(chunk)
            if received > self._max_bytes + _MOST_OVERHEAD_BYTES:
                raise self._too_large()
            form.feed(chunk)
            if len(form.unwritten) > _FLUSH_BYTES or not more:
                try:
                    await asyncio.to_thread(form.flush)
                except OSError as error:
                    raise _no_room(error) from error
        return form.end(path)

    def check_size(self, size: int) -> None:
        """Raise HttpError 413 for a package that is too large."""
        if size > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> HttpError:
        detail = f"The package is larger than the {self._max_bytes} bytes that plugins.max_package_bytes allows here."
        return HttpError(413, "body-too-large", "Body too large", detail, headers={"connection": "close"})


class _Form:
    """The parts of one form, taken as they come."""

    def __init__(self, file: IO[bytes], boundary: bytes, uploads: PackageUploads) -> None:
        self.unwritten = bytearray()
        self._file = file
        self._uploads = uploads
        self._digest = hashlib.sha256()
        self._size = 0
        self._signature = bytearray()
        self._seen: list[str] = []
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _wrong("body", "is not multipart/form-data") from error

    def flush(self) -> None:
        """Write what has gathered; raises OSError."""
        self._file.write(self.unwritten)
        self._file.flush()
        self.unwritten.clear()

    def end(self, path: Path) -> SentPackage:
        if not self._ended:
            raise _wrong("body", "ends before its form does")
        if PACKAGE not in self._seen or not self._size:
            raise _wrong(PACKAGE, "is required: the package, as a file")
        try:
            signature = self._signature.decode("ascii").strip() if SIGNATURE in self._seen else None
        except UnicodeDecodeError as error:
            raise _wrong(SIGNATURE, "is not base64") from error
        return SentPackage(path, self._digest.hexdigest(), signature)

    def _part_begin(self) -> None:
        self._disposition = b""

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"name", b"").decode("utf-8", "replace")
        if name not in (PACKAGE, SIGNATURE):
            raise _wrong(name[:100] or "body", f"is unknown; the parts of the form are {PACKAGE} and {SIGNATURE}")
        if name in self._seen:
            raise _wrong(name, "is given more than once")
        self._seen.append(name)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._seen[-1] == PACKAGE:
            self._size += end - start
            self._uploads.check_size(self._size)
            self._digest.update(data[start:end])
            self.unwritten += data[start:end]
        else:
            self._signature += data[start:end]
            if len(self._signature) > _LONGEST_SIGNATURE:
                raise _wrong(SIGNATURE, f"is longer than {_LONGEST_SIGNATURE} characters")

    def _end(self) -> None:
        self._ended = True


def is_form(scope: Scope) -> bool:
    """Whether a request says that its body is a form."""
    content_type: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return content_type.split(b";")[0].strip().lower() == FORM.encode()


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def _wrong(field: str, message: str) -> HttpError:
    return bad_request(f"The form is not valid: {field} {message}.", ProblemField(field, message))


def _no_room(error: OSError) -> HttpError:
    detail = f"The package can't be written to this node's disk: {error.strerror}."
    return HttpError(503, "unavailable", "Unavailable", detail, headers={"retry-after": "5", "connection": "close"})


def form_content() -> dict[str, Any]:
    """Describe the form for the OpenAPI document."""
    return {FORM: {"schema": FORM_SCHEMA}}
