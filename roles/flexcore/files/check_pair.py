"""Says whether a PEM file holds a chain of certificates and the key of the first one.

Usage: check_pair.py FILE
"""

import ssl
import sys

try:
    # Without a password OpenSSL would ask the terminal for that of an encrypted key.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(sys.argv[1], password="")
except ssl.SSLError as error:
    sys.exit(f"flexcore_tls_certificate and flexcore_tls_key are no pair to serve HTTPS with ({error.reason})")
