"""Modules in this process, and the node that the server's own tests run."""

from tests.integration.server.conftest import api, environ, flexcore
from tests.module_runs import RunModule, host_log, project_modules, run_main, run_module

__all__ = ["RunModule", "api", "environ", "flexcore", "host_log", "project_modules", "run_main", "run_module"]
