"""Whom the client trusts, and as whom it comes."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass

from .errors import InputError


@dataclass(frozen=True)
class TlsOptions:
    """Whom to trust: the system's authorities, or those in ``ca_path``; ``validate`` false trusts anybody.

    ``client_cert`` and ``client_key`` are files with what the client shows of itself; the key may be in the first.
    """

    ca_path: str | None = None
    validate: bool = True
    client_cert: str | None = None
    client_key: str | None = None


@functools.lru_cache(maxsize=8)
def tls_context(tls: TlsOptions, scheme: str) -> ssl.SSLContext | None:
    """Build the context once for all servers: loading the authorities takes 30 ms, which plain HTTP is spared.

    Raises InputError when one of the files cannot be used.
    """
    if scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca_path)
    except OSError as error:
        raise InputError(f"ca_path {tls.ca_path} cannot be used: {_reason(error, 'holds no certificate')}") from None
    context.set_alpn_protocols(["http/1.1"])
    if not tls.validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert is not None:
        try:
            # A key with a passphrase would make OpenSSL ask for it on the terminal.
            context.load_cert_chain(tls.client_cert, tls.client_key, password=lambda: "")
        except OSError as error:
            files = f"client_cert {tls.client_cert}" + (f" with client_key {tls.client_key}" if tls.client_key else "")
            words = "no certificate with the key to it, in PEM and without a passphrase"
            raise InputError(f"{files} cannot be used: {_reason(error, words)}") from None
    elif tls.client_key is not None:
        raise InputError("client_key is given without client_cert: give both, or both in client_cert")
    return context


def _reason(error: OSError, words: str) -> str:
    return words if isinstance(error, ssl.SSLError) else str(error.strerror)
