"""What the modules of this project share in their documentation: how to reach a FlexCore."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragments `flexcore` (a module's connection), `flexcore.connection` (its options), `.reads` and `.writes`."""

    CONNECTION = r"""
options:
  url:
    description:
      - Address of FlexCore, C(http://host:port) or C(https://host:port). It must not hold user information.
      - Falls back to the environment variable E(FLEXCORE_URL).
    type: str
  token:
    description:
      - Bearer token for FlexCore, an API token or one from a login.
      - Falls back to the environment variable E(FLEXCORE_TOKEN), unless another way to log in is given.
    type: str
  token_file:
    description:
      - File on the host where the module runs that holds the token and nothing else.
      - Falls back to the environment variable E(FLEXCORE_TOKEN_FILE), unless another way to log in is given.
    type: path
  username:
    description:
      - User to log in as, with O(password), in place of a token. The module logs in anew before its token expires.
      - Falls back to the environment variable E(FLEXCORE_USERNAME), unless another way to log in is given.
    type: str
  password:
    description:
      - Password of O(username).
      - Falls back to the environment variable E(FLEXCORE_PASSWORD), unless another way to log in is given.
    type: str
  api:
    description: Generation of FlexCore's API. V(auto) finds it out.
    type: str
    choices: [auto, flexcore-v1, seed-2025, legacy-2025, gin-2025, s0-client]
    default: auto
  timeout:
    description: Seconds for each request with all its retries.
    type: float
    default: 5.0
  connect_timeout:
    description: Seconds for name resolution and TCP, and as many again for TLS, within O(timeout).
    type: float
    default: 3.0
  read_timeout:
    description: Seconds for each wait for the server to say something, within O(timeout). By default all of that.
    type: float
  retries:
    description:
      - How many more times a request is made that found no connection, or an answer that means "not now".
      - Only requests that may be repeated without harm are. The pauses grow and are partly random, and a server that
        names a time to wait (C(Retry-After)) is obeyed.
    type: int
    default: 2
  ca_path:
    description:
      - File with the authorities to trust for HTTPS. By default those of the system.
      - Falls back to the environment variable E(FLEXCORE_CA_PATH).
    type: path
  validate_certs:
    description: Whether to check the server's certificate.
    type: bool
    default: true
  client_cert:
    description:
      - File with the certificate to show to the server, in PEM; it may hold the key too.
      - Falls back to the environment variable E(FLEXCORE_CLIENT_CERT).
    type: path
  client_key:
    description:
      - File with the key of O(client_cert), in PEM and without a passphrase.
      - Falls back to the environment variable E(FLEXCORE_CLIENT_KEY), together with the certificate.
    type: path
  proxy:
    description:
      - Address of a proxy to go through, with its login if it wants one, such as C(http://user:password@proxy:3128).
        The variables that other programs take a proxy from are not looked at.
      - Falls back to the environment variable E(FLEXCORE_PROXY).
    type: str
"""

    DOCUMENTATION = (
        CONNECTION
        + r"""
notes:
  - Runs wherever FlexCore can be reached, which is usually its own host, under any Python from 3.9 on.
  - Takes the Python library h11, which comes with httpx. Where the host's Python lacks it, the module uses the one
    that a deployed FlexCore brings under C(/opt/flexcore/current), and where that is for another Python, goes on under
    its interpreter.
  - When it fails, RV(ignore:failure) in the result says of which kind the failure is (C(unreachable), C(refused),
    C(tls), C(timeout), C(http_status), C(bad_body), C(api_error), C(unsupported) or C(input)), RV(ignore:phase) where
    the time ran out or the connection broke, and RV(ignore:http_status) what the server answered.
"""
    )

    READS = r"""
attributes:
  check_mode:
    description: The module only reads, and does the same in check mode.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
"""

    WRITES = r"""
attributes:
  check_mode:
    description: Reads what there is, predicts what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows what is before and after.
    support: full
"""
