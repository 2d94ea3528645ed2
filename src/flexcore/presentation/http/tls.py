"""HTTPS: what the server speaks it with, and how it takes a renewed certificate without a restart."""

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from flexcore.presentation.http.server import ListenError

# Forward secrecy and authenticated encryption; TLS 1.3 has only such.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_logger = logging.getLogger("flexcore.http")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the certificate chain and its key."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with, TLS 1.2 at least; raises ListenError."""
        for setting, path in (("http.tls_cert_file", self.certificate), ("http.tls_key_file", self.key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise ListenError(f"cannot read {setting} {path}: {(error.strerror or str(error)).lower()}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let new connections have the certificate as it is now; raises ListenError, and then the old one stays."""
        what = f"cannot serve TLS with http.tls_cert_file {self.certificate} and http.tls_key_file {self.key}"
        # OpenSSL asks the terminal for the password of a key that has one.
        encrypted = ListenError(f"{what}: the key is encrypted with a password; give one without")

        def refuse() -> str:
            raise encrypted

        try:
            # Into another one first: half of a pair must not get into the one that serves.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, refuse)
            context.load_cert_chain(self.certificate, self.key, refuse)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ListenError(f"{what}: the key is not that of the certificate") from error
            raise ListenError(f"{what}: not a PEM certificate with its key ({error.reason or 'unreadable'})") from error
        except OSError as error:
            raise ListenError(f"{what}: {(error.strerror or str(error)).lower()}") from error
        self._warn_of_dates()

    def reload(self, context: ssl.SSLContext) -> None:
        """Take a renewed certificate, and say in the log how that went."""
        try:
            self.load_into(context)
        except ListenError as error:
            _logger.error("%s; the certificate from before stays in use", error)  # noqa: TRY400 - no defect
        else:
            _logger.info("loaded the TLS certificate again; new connections get it")

    def _warn_of_dates(self) -> None:
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            _logger.warning(
                "the certificate in http.tls_cert_file is valid from %s to %s, and so not now; clients will refuse it",
                certificate.not_valid_before_utc.isoformat(),
                certificate.not_valid_after_utc.isoformat(),
            )
