"""Modules in this process, and the node that the server's own tests run."""

from tests.integration.server.conftest import api, environ, flexcore
from tests.module_runs import RunModule, project_modules, run_module

__all__ = ["RunModule", "api", "environ", "flexcore", "project_modules", "run_module"]
