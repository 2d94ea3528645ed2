"""Every test here runs modules in this process."""

from tests.module_runs import ROOT, RunMain, RunModule, host_log, project_modules, run_main, run_module

__all__ = ["ROOT", "RunMain", "RunModule", "host_log", "project_modules", "run_main", "run_module"]
