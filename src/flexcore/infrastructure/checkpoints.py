"""Signed checkpoints in a file of this node, outside the database: one JSON object a line, the newest last."""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from flexcore.application.verification import ForgedCheckpoint
from flexcore.domain.checkpoint import Checkpoint
from flexcore.domain.errors import FlexCoreError

KEY_FILE: Final = "checkpoint_key.pem"
CHECKPOINTS_FILE: Final = "checkpoints.jsonl"
MOST_CHECKPOINTS: Final = 1000
"""Beyond these every second one of the older half is dropped: the further back, the wider apart they may be."""


class _Line(msgspec.Struct, frozen=True):
    position: int
    hash: str
    signed_at: datetime
    node_id: str
    signature: bytes

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.position, self.hash, self.signed_at, self.node_id)


class CheckpointFile:
    """The checkpoints in `directory`, and the Ed25519 key that signs them, made on first use for this node alone.

    Every method raises FlexCoreError if a file can't be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / CHECKPOINTS_FILE
        self._key_path = directory / KEY_FILE

    async def read(self) -> Sequence[Checkpoint]:
        """Give the checkpoints by position; raises ForgedCheckpoint."""
        return await asyncio.to_thread(self._read)

    async def add(self, checkpoint: Checkpoint) -> None:
        """Sign a checkpoint and keep it durably."""
        await asyncio.to_thread(self._add, checkpoint)

    def _read(self) -> list[Checkpoint]:
        lines = self._lines()
        public_key = self._key().public_key() if lines else None
        for line in lines:
            try:
                if public_key is not None:
                    public_key.verify(line.signature, line.checkpoint().statement())
            except InvalidSignature:
                raise ForgedCheckpoint(
                    f"the checkpoint at position {line.position} was not signed with this node's key: it was changed "
                    "since, or the key was"
                ) from None
        return sorted((line.checkpoint() for line in lines), key=lambda checkpoint: checkpoint.position)

    def _add(self, checkpoint: Checkpoint) -> None:
        signature = self._key().sign(checkpoint.statement())
        lines = self._lines()
        lines.append(_Line(checkpoint.position, checkpoint.hash, checkpoint.signed_at, checkpoint.node_id, signature))
        if len(lines) > MOST_CHECKPOINTS:
            middle = len(lines) // 2
            lines = [*lines[:middle:2], *lines[middle:]]
        _write(self._path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _lines(self) -> list[_Line]:
        content = _content(self._path)
        try:
            return [msgspec.json.decode(text, type=_Line) for text in (content or b"").splitlines()]
        except msgspec.MsgspecError as error:
            raise ForgedCheckpoint(f"{self._path.name} is damaged: {error}") from error

    def _key(self) -> Ed25519PrivateKey:
        pem = _content(self._key_path)
        if pem is None:
            key = Ed25519PrivateKey.generate()
            _write(self._key_path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return key
        try:
            loaded = load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise FlexCoreError(f"{self._key_path.name} holds no private key; restore it from a backup") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise FlexCoreError(f"{self._key_path.name} holds a key of another kind than Ed25519")
        return loaded


class NoCheckpoints:
    """What a node without a state directory has."""

    async def read(self) -> Sequence[Checkpoint]:
        """Give none."""
        return ()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FlexCoreError(f"can't read {path.name} in the state directory: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone, so that a crash leaves the old or the new one."""
    new = path.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise FlexCoreError(f"can't write {path.name} in the state directory: {error.strerror}") from error
