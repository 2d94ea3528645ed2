"""Says whether the FlexCore of this very host is ready.

Usage: is_ready.py URL TOKEN_FILE [CERTIFICATE_FILE]

Exit status 0 if it is, 75 if it may be soon, 1 if it won't be by itself; then the reason is on standard error.
Over HTTPS it must show the certificate of the file, by whatever address it is asked; before that is seen, the token is
not sent. Standard library only: it is run by the host's own Python.
"""

import http.client
import json
import re
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 2
# EX_TEMPFAIL of sysexits.h.
SOON = 75
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def main(url: str, token_file: str, certificate_file: str | None = None) -> tuple[int, str]:
    """Give the exit status, and the reason unless it is 0."""
    try:
        connection = _connected(url, certificate_file)
        if connection is None:
            return SOON, f"{url} does not show the certificate in {certificate_file}"
        token = Path(token_file).read_text(encoding="ascii").strip()
        connection.request("GET", "/health/ready", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except TimeoutError:
        return SOON, f"{url} gives no answer within {SECONDS} s"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 1, f"{url} cannot be asked: {error}"
    if response.status == http.HTTPStatus.OK:
        return 0, ""
    status = SOON if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE else 1
    return status, _reasons(text) or f"{url}/health/ready answers with status {response.status}"


def _connected(url: str, certificate_file: str | None) -> http.client.HTTPConnection | None:
    """Connect; None if the server shows another certificate than that of the file."""
    place = urlsplit(url)
    if certificate_file is None:
        return http.client.HTTPConnection(place.netloc, timeout=SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The address need not stand in the certificate, nor its issuer be known here: it must be this very certificate.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(place.netloc, timeout=SECONDS, context=context)
    connection.connect()
    own = CERTIFICATE.search(Path(certificate_file).read_text(encoding="ascii"))
    if own and connection.sock.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(own[0]):
        return connection
    connection.close()
    return None


def _reasons(text: str) -> str:
    try:
        return "; ".join(json.loads(text)["reasons"])
    except (ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    exit_status, reason = main(*sys.argv[1:])
    if reason:
        sys.stderr.write(f"{reason}\n")
    sys.exit(exit_status)
