"""Ed25519 signatures of packages: who vouches for which bytes being which version of which plugin."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from flexcore.domain.errors import InvalidInput

SIGNATURE_ENDING: Final = ".sig"
LONGEST_SIGNATURE: Final = 200
_KEY_BYTES: Final = 32


def statement(plugin_id: str, version: str, digest: str) -> bytes:
    """Return what is signed: no other plugin, version or package has the same bytes, nor has anything but a package."""
    return f"flexcore plugin package 1\nid {plugin_id}\nversion {version}\nsha256 {digest}\n".encode()


class TrustedKeys:
    """Public keys by name, each the base64 of its 32 bytes; raises ValueError naming one that is none."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = {name: _public(name, text) for name, text in keys.items()}

    def __len__(self) -> int:
        return len(self._keys)

    def signer(self, plugin_id: str, version: str, digest: str, signature: str) -> str:
        """Return the name of the key that made `signature`; raises InvalidInput if none of these did."""
        try:
            raw = base64.b64decode(signature.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput.field("signature", "is not base64") from error
        signed = statement(plugin_id, version, digest)
        for name, key in self._keys.items():
            try:
                key.verify(raw, signed)
            except InvalidSignature:
                continue
            return name
        known = ", ".join(self._keys) or "none"
        what = f"of {plugin_id} {version} is by no trusted key"
        raise InvalidInput.field("signature", f"{what}; trusted are: {known} (marketplace.trusted_keys)")


def sign(key: Ed25519PrivateKey, plugin_id: str, version: str, digest: str) -> str:
    """Return the signature in base64."""
    return base64.b64encode(key.sign(statement(plugin_id, version, digest))).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key as the settings take it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and write it, readable by its owner only; raises FileExistsError, OSError."""
    key = Ed25519PrivateKey.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key in PEM; raises InvalidInput, OSError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput.field("key", "is not an Ed25519 private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput.field("key", "is not an Ed25519 key; `flexcore plugin key` makes one")
    return key


def _public(name: str, text: str) -> Ed25519PublicKey:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"key '{name}' is not the base64 of an Ed25519 public key of {_KEY_BYTES} bytes")
    return Ed25519PublicKey.from_public_bytes(raw)
