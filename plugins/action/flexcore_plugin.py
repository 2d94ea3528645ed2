"""Takes the package that flexcore_plugin installs from beside the playbook to the host, then runs the module there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The action; the module's documentation is that of both."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Copy the package to the host's temporary directory, in check mode too, and run the module on it."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source = arguments.get("src")
        try:
            if source and not boolean(arguments.get("remote_src", False), strict=False):
                arguments["src"] = self._on_the_host(str(source))
            result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _on_the_host(self, source: str) -> str:
        try:
            here = self._loader.get_real_file(self._find_needle("files", source))
        except AnsibleError as error:
            raise AnsibleActionFail(f"src is {source}, which is not beside the playbook: {error}") from error
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        # The name tells what kind of package it is.
        there: str = self._connection._shell.join_path(self._connection._shell.tmpdir, Path(source).name)
        self._transfer_file(here, there)
        self._fixup_perms2((self._connection._shell.tmpdir, there))
        return there
