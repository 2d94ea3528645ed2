"""Where the data to read come from: the parameters themselves, or a file that the plugin may read."""

import base64
import binascii
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from flexcore_plugin import OperationFailed

WAYS: Final = ("text", "base64", "file", "records")


@contextmanager
def opened(source: Mapping[str, Any]) -> Iterator[BinaryIO]:
    """Open the bytes of a source given as `text`, `base64` or `file`; raises OperationFailed if that can't be."""
    given = [way for way in WAYS if way in source]
    if len(given) != 1:
        raise OperationFailed(f"the source must have exactly one of {', '.join(WAYS)}, not {len(given)} of them")
    if (given == ["records"]) != (source["format"] == "records"):
        raise OperationFailed("records come in the format records, and nothing else does")
    if "file" in source:
        path = Path(source["file"])
        if not path.is_absolute():
            raise OperationFailed(f"'{path}' is not an absolute path")
        try:
            stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise OperationFailed(
                f"the file '{path}' can't be read: {error.strerror}. A plugin reads what its permission to read names"
            ) from None
        with stream:
            yield stream
        return
    yield io.BytesIO(_inline(source))


def _inline(source: Mapping[str, Any]) -> bytes:
    if "text" in source:
        try:
            return str(source["text"]).encode()
        except UnicodeEncodeError:
            raise OperationFailed("the text has half a character (a lone surrogate) in it") from None
    try:
        return base64.b64decode(source.get("base64", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise OperationFailed(f"what is given as base64 is not that: {error}") from None
