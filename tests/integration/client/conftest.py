"""The node that the server's own tests run, for the client."""

from tests.integration.server.conftest import api, environ, flexcore

__all__ = ["api", "environ", "flexcore"]
