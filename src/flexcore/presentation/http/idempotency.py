"""How a request is told from another one, and receipts for those that carry an Idempotency-Key."""

import hashlib
from typing import Any, Final

import msgspec

from flexcore.application.ports import Receipt
from flexcore.presentation.http.operations import Call

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def receipt(operation: str, call: Call[Any, Any], answer: Any = None) -> Receipt | None:
    """Return the receipt that makes `call` of `operation` happen once, None if its caller gave no key."""
    if call.idempotency_key is None:
        return None
    asked = fingerprint((sorted(call.path.items()), call.query, call.body))
    return Receipt(f"{operation}:{call.idempotency_key}", asked, answer)


def fingerprint(asked: Any) -> str:
    """Return the SHA-256 of what is asked for, hexadecimal; the same for the same request, however it is written."""
    return hashlib.sha256(_encode(asked)).hexdigest()
