"""Who may: on real servers, with the environment of the server's own tests."""

from tests.integration.server.conftest import api, checked, environ, flexcore

__all__ = ["api", "checked", "environ", "flexcore"]
