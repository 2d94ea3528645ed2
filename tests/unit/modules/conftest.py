"""Every test here runs modules in this process."""

from tests.module_runs import ROOT, RunModule, host_log, project_modules, run_module

__all__ = ["ROOT", "RunModule", "host_log", "project_modules", "run_module"]
