"""Packages that are sent as forms: in pieces of any size, into a file, with bounds on everything."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flexcore.presentation.http.problems import HttpError
from flexcore.presentation.http.uploads import PackageUploads, SentPackage
from flexcore.presentation.http.validation import ClientGoneError

BOUNDARY = "boundary-1"


def form(*parts: tuple[str, bytes]) -> bytes:
    heads = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n' for name, _ in parts]
    bodies = [head.encode() + content + b"\r\n" for head, (_, content) in zip(heads, parts, strict=True)]
    return b"".join(bodies) + f"--{BOUNDARY}--\r\n".encode()


def receive(
    directory: Path, chunks: Iterable[bytes], *, most: int = 1 << 20, whole: bool = True, **headers: str
) -> SentPackage:
    """Have a form received that comes in `chunks`; unless it is `whole`, the client goes in the middle."""
    content_type = headers.pop("content_type", f"multipart/form-data; boundary={BOUNDARY}")
    scope = {
        "type": "http",
        "headers": [
            (b"content-type", content_type.encode()),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        ],
    }
    messages = _messages(chunks, whole)

    async def next_message() -> dict[str, Any]:
        return next(messages)

    return asyncio.run(PackageUploads(directory, most).receive(scope, next_message))  # type: ignore[arg-type]


def _messages(chunks: Iterable[bytes], whole: bool) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False} if whole else {"type": "http.disconnect"}


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_pieces_of_any_size_make_the_same_file(tmp_path: Path, size: int) -> None:
    content = b"\r\n--boundary-" + bytes(range(256)) * 20 + b"\r\n--"
    body = form(("signature", b"c2ln\n"), ("package", content))
    sent = receive(tmp_path, (body[start : start + size] for start in range(0, len(body), size)))
    assert sent.path.read_bytes() == content
    assert (sent.digest, sent.signature) == (hashlib.sha256(content).hexdigest(), "c2ln")
    assert sent.path.stat().st_mode & 0o777 == 0o600
    sent.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_large_package_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    head, _, tail = form(("package", b"|")).partition(b"|")
    piece = bytes(64 << 10)

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(1024):
            yield piece
        yield tail

    tracemalloc.start()
    try:
        sent = receive(tmp_path, chunks(), most=65 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent.path.stat().st_size == 64 << 20
    assert peak < 8 << 20


def test_what_is_too_large_is_refused_before_it_is_written(tmp_path: Path) -> None:
    for body, more in (
        ([form(("package", bytes(2000)))], {}),
        ([], {"content_length": "200000"}),
        ([form(("package", b"x")), *[b"x" * 1000] * 200], {}),
    ):
        with pytest.raises(HttpError) as caught:
            receive(tmp_path, body, most=1000, **more)
        assert caught.value.status == 413
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (form(), "package"),
        (form(("package", b"")), "package"),
        (form(("package", b"x"), ("package", b"y")), "package"),
        (form(("package", b"x"), ("signature", "ä".encode())), "signature"),
        (form(("package", b"x"), ("signature", b"x" * 201)), "signature"),
        (form(("package", b"x"), ("colour", b"red")), "colour"),
        (form(("package", b"x"))[:-8], "body"),
        (b"no form at all", "body"),
        (f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--".encode(), "body"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(tmp_path: Path, body: bytes, field: str) -> None:
    with pytest.raises(HttpError) as caught:
        receive(tmp_path, [body])
    assert caught.value.status == 400
    assert [error.field for error in caught.value.errors or ()] == [field]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"])
def test_a_form_needs_its_boundary(tmp_path: Path, content_type: str) -> None:
    with pytest.raises(HttpError, match="without a boundary"):
        receive(tmp_path, [b""], content_type=content_type)


def test_a_client_that_goes_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ClientGoneError):
        receive(tmp_path, [form(("package", b"x"))[:60]], whole=False)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(HttpError) as caught:
        receive(tmp_path / "gone", [form(("package", b"x"))])
    assert (caught.value.status, "No such file" in str(caught.value)) == (503, True)
