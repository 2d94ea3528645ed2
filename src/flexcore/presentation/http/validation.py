"""Turns a request's query string and body into the types an operation declares, or into a 400 that names the field."""

import functools
import re
from datetime import UTC, datetime
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope

from flexcore.domain.errors import InvalidInput
from flexcore.presentation.http.problems import HttpError, ProblemField, bad_request

_AT: Final = re.compile(r" - at `(?P<place>[^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`$")
_NUMBER: Final = re.compile(r"[+-]?[0-9._]+([eE][+-]?[0-9]+)?")
_MAX_PARAMETERS: Final = 100
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,200}")


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


def decode_query(query_string: bytes, into: type[Struct]) -> Struct:
    """Decode and check the query parameters; raises HttpError 400."""
    values: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:
        raise bad_request("The query string is not valid percent-encoded UTF-8, or has too many parameters.") from error
    for name, value in pairs:
        if name in values:
            raise _wrong_parameter(name, "given more than once")
        values[name] = value
    for name in _moments(into):
        # msgspec would take a number for seconds since 1970.
        if name in values and _NUMBER.fullmatch(values[name]):
            raise _wrong_parameter(name, "expected RFC 3339 encoded datetime")
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        wrong = _problem_field(str(error), known=into.__struct_encode_fields__)
        # In a query everything is text, so saying that the value was one helps nobody.
        raise _wrong_parameter(wrong.field, wrong.message.removesuffix(", got str")) from error


@functools.cache
def _moments(kind: type[Struct]) -> frozenset[str]:
    """Return the names of the parameters that are times."""
    info = msgspec.inspect.type_info(kind)
    fields = info.fields if isinstance(info, msgspec.inspect.StructType) else ()
    return frozenset(field.encode_name for field in fields if _is_moment(field.type))


def _is_moment(info: msgspec.inspect.Type) -> bool:
    match info:
        case msgspec.inspect.Metadata():
            return _is_moment(info.type)
        case msgspec.inspect.UnionType():
            return any(_is_moment(kind) for kind in info.types)
        case _:
            return isinstance(info, msgspec.inspect.DateTimeType)


def in_utc(field: str, moment: datetime | None) -> datetime | None:
    """Return the same moment in UTC; raises InvalidInput if there is none."""
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput.field(field, "must lie in the years 1 to 9999 UTC") from error


def idempotency_key(scope: Scope) -> str | None:
    """Return the request's Idempotency-Key, None if it has none; raises HttpError 400."""
    values = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not values:
        return None
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        message = "must be 1 to 200 visible ASCII characters, given once"
        raise bad_request(f"Header Idempotency-Key {message}.", ProblemField("Idempotency-Key", message))
    return str(values[0], "ascii")


def has_no_body(scope: Scope) -> bool:
    """Whether the request says that it carries nothing."""
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers


def last_event_id(scope: Scope) -> str | None:
    """Return the request's Last-Event-ID, None if it has none."""
    return next((str(value, "latin-1") for name, value in scope["headers"] if name == b"last-event-id"), None)


async def read_body(scope: Scope, receive: Receive, max_bytes: int, *, or_sent_as: str | None = None) -> bytes:
    """Read the whole JSON body; raises HttpError 413 or 415, or ClientGoneError.

    `or_sent_as` is another content type that the operation takes, to be named in the refusal.
    """
    headers = dict(scope["headers"])
    content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if content_type != b"application/json":
        also = "" if or_sent_as is None else f" or {or_sent_as}"
        detail = f"The body must be JSON, sent with Content-Type: application/json{also}."
        raise HttpError(415, "unsupported-media-type", "Unsupported media type", detail)
    # The length was checked for being a number by the HTTP parser.
    if int(headers.get(b"content-length", b"0")) > max_bytes:
        raise _too_large(max_bytes)
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def decode_body(body: bytes, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """Decode and check a JSON body; raises HttpError 400."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        known = getattr(decoder.type, "__struct_encode_fields__", None)
        wrong = _problem_field(str(error), known=known)
        if tags := _tags(decoder.type, wrong.field):
            wrong = ProblemField(wrong.field, f"{wrong.message}; known are {', '.join(tags)}")
        raise bad_request(f"The body is not valid: {wrong.field}: {wrong.message}.", wrong) from error
    except RecursionError as error:
        raise _wrong_body("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong_body(f"not JSON: {error}") from error


def _tags(kind: Any, field: str) -> list[str]:
    """List what `field` may be, if it is what tells the alternatives of `kind` apart."""
    configurations = [getattr(alternative, "__struct_config__", None) for alternative in get_args(kind)]
    return [str(found.tag) for found in configurations if found is not None and found.tag_field == field]


def _problem_field(message: str, known: tuple[str, ...] | None) -> ProblemField:
    """Translate msgspec's message: `field` as the caller wrote it, and what is wrong with it."""
    at = _AT.search(message)
    place = "" if at is None else at["place"].removeprefix("$").removeprefix(".")
    text = _AT.sub("", message)
    if unknown := _UNKNOWN.match(text):
        name = f"{place}.{unknown['name']}" if place else unknown["name"]
        listed = "" if place or known is None else f"; known are {', '.join(known) or 'none'}"
        return ProblemField(name, "unknown" + listed)
    if missing := _MISSING.match(text):
        return ProblemField(f"{place}.{missing['name']}" if place else missing["name"], "required")
    return ProblemField(place or "body", text.replace("`", "").replace("Expected", "expected"))


def _wrong_body(message: str) -> HttpError:
    return bad_request(f"The body is {message}.", ProblemField("body", message))


def _wrong_parameter(name: str, message: str) -> HttpError:
    return bad_request(f"Query parameter {name}: {message}.", ProblemField(name, message))


def _too_large(max_bytes: int) -> HttpError:
    # The rest of the body is not read, so the connection can't carry another request.
    detail = f"The body is larger than the {max_bytes} bytes this server accepts."
    return HttpError(413, "body-too-large", "Body too large", detail, headers={"connection": "close"})
