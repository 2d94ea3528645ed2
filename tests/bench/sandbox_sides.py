"""One execution of a plugin: in our sandbox, in a plain process, and in a process that bubblewrap confines alike."""

import asyncio
import contextlib
import itertools
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from flexcore.application.ports import PluginCode, PluginRequest
from flexcore.domain.manifest import Limits, PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.broker import NetworkBroker
from flexcore.infrastructure.sandbox.control import Control
from flexcore.infrastructure.sandbox.execution import Services
from flexcore.infrastructure.sandbox.launcher import linux, policy
from flexcore.infrastructure.sandbox.reaching import SandboxProcess
from flexcore.infrastructure.sandbox.runner import SandboxRunner
from flexcore.infrastructure.sandbox.secrets import PluginSecrets

PLUGINS: Final = Path(__file__).with_name("sandbox_plugins")
PACKAGES: Final = Path(sysconfig.get_path("platlib"))
LIMITS: Final = Limits(memory_mb=512)
_RLIMITS: Final = {
    "RLIMIT_DATA": LIMITS.memory_mb << 20,
    "RLIMIT_CPU": LIMITS.cpu_seconds,
    "RLIMIT_FSIZE": LIMITS.file_size_mb << 20,
    "RLIMIT_NOFILE": 256,
    "RLIMIT_CORE": 0,
}

Execute = Callable[..., Awaitable[Any]]
"""Runs an operation of the plugin `module` with parameters, and gives its answer."""


@contextlib.asynccontextmanager
async def sandbox() -> AsyncIterator[Execute]:
    """Run plugins as the server does: a supervisor of our own, and the runner that speaks to it."""
    supervisor = SandboxProcess()
    control = Control(supervisor.connect)
    runner = SandboxRunner(control, Services(NetworkBroker(), _Nothing(), _Nothing()), PluginSecrets(None))
    numbers = itertools.count()

    async def execute(module: str, operation: str, **data: Any) -> Any:
        request = PluginRequest(f"execution-{next(numbers)}", _code(module), operation, data, 60, "benchmark")
        return (await runner.run(request)).data

    control.open()
    try:
        await control.connected(10)
        yield execute
    finally:
        await control.close()
        await supervisor.close()


async def plain_process(module: str, operation: str, **data: Any) -> Any:
    """Run it in a new process of Python, confined by its limits alone."""
    return await _run(_python(), module, operation, data)


@contextlib.contextmanager
def bubblewrap() -> Any:
    """Run it in a new process of Python with its own namespaces, a root of what it needs, and our own filter."""
    program = shutil.which("bwrap")
    if program is None:
        raise RuntimeError("the benchmark needs bubblewrap: apt-get install bubblewrap")
    with tempfile.TemporaryFile() as file:
        file.write(policy.filter_program(linux.MACHINE, executable=True))
        file.flush()

        async def execute(module: str, operation: str, **data: Any) -> Any:
            # bubblewrap reads it from where the last one stopped, so each has an open file of its own.
            descriptor = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
            try:
                command = [program, *_restrictions(), "--seccomp", str(descriptor), *_python()]
                return await _run(command, module, operation, data, descriptor)
            finally:
                os.close(descriptor)

        yield execute


class _Nothing:
    """Records no event and audits nothing: the plugins of the benchmark give no reason to."""


def _code(module: str) -> PluginCode:
    manifest = PluginManifest(
        id=module.replace("_", "-"),
        name=module,
        version="1.0.0",
        type="processor",
        description="",
        commands=(PluginCommand("add", ""), PluginCommand("sleep", "")),
        entry_point=f"{module}:Adder",
        limits=LIMITS,
    )
    return PluginCode(manifest, f"benchmark-{module}", PLUGINS, (PACKAGES,))


def _python() -> list[str]:
    return [str(Path(sys.executable).resolve()), "-I", "-S", "-B", str(PLUGINS / "runner.py")]


def _restrictions() -> list[str]:
    shown = ["/usr", str(PLUGINS), str(PACKAGES)]
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        shown.append(sys.base_prefix)
    return [
        *(option for space in ("user", "pid", "ipc", "uts", "net") for option in (f"--unshare-{space}",)),
        *("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"),
        *(option for path in shown for option in ("--ro-bind", path, path)),
        *(option for name in ("lib", "lib64", "bin") for option in ("--symlink", f"usr/{name}", f"/{name}")),
        *("--dev", "/dev", "--tmpfs", "/scratch", "--chdir", "/scratch"),
        *("--die-with-parent", "--new-session", "--clearenv"),
    ]


async def _run(command: list[str], module: str, operation: str, data: dict[str, Any], *descriptors: int) -> Any:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        env={},
    )
    request = {
        "entry_point": f"{module}:Adder",
        "operation": operation,
        "data": data,
        "search_path": [str(PLUGINS), str(PACKAGES)],
        "limits": _RLIMITS,
    }
    answer, errors = await process.communicate(msgspec.json.encode(request) + b"\n")
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {errors.decode()[-2000:]}")
    return msgspec.json.decode(answer)
