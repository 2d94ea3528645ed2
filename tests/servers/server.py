"""A server process with its own directory, and the ways to disturb it."""

import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

START_SECONDS = 30.0
STOP_SECONDS = 15.0
# Below the kernel's range for outgoing connections, so that nothing takes a server's port while it is down.
PORTS = range(18000, 32000)
_PREFIX = "flexcore-test-"
_PR_SET_PDEATHSIG = 1


class MissingServer(Exception):  # noqa: N818
    """A server program that the tests need is not installed; that fails the tests, it never skips them."""


@dataclass(frozen=True)
class Login:
    """How to reach a server as one user of it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = ""


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    # The tests' plain `random` is seeded, and alike in every worker.
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop}")


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once `condition()` holds; raises TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)


class Server(ABC):
    """One server process with its directory. Make it with `start()`, always end it with `remove()`."""

    name: str

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._account = unprivileged_account()
        self._environ = dict(environ or {})
        clear_up()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{self.name}-"))
        if self._account is not None:
            os.chown(self.directory, self._account.pw_uid, self._account.pw_gid)
        self.port = free_port()
        self.log = self.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the server's main process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the main process lives (a hung one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it answers by its own protocol."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        if not self.log.exists():
            self._prepare()
        with self.log.open("ab") as log:
            self._process = self._spawn(self._command(), log)
        try:
            wait_until(self._answers_or_died, START_SECONDS, f"{self.name} answering on port {self.port}")
        except TimeoutError:
            self.kill()
            raise

    def stop(self) -> None:
        """End the process in good order."""
        self.resume()
        self._end(self._stop_signal())

    def kill(self) -> None:
        """End the process, and every process it started, as a crash would: SIGKILL."""
        family = _family(self.pid) if self.running else []
        self._end(signal.SIGKILL)
        for pid in family[1:]:
            wait_until(lambda pid=pid: not _alive(pid), STOP_SECONDS, f"end of {self.name}'s process {pid}")

    def hang(self, *, children: bool = True) -> None:
        """Stop the process in mid-air, with its children or alone: connections stay open, nothing answers."""
        for pid in _family(self.pid) if children else [self.pid]:
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `hang()`."""
        if self.running:
            for pid in reversed(_family(self.pid)):
                _signal(pid, signal.SIGCONT)

    def ensure_running(self) -> None:
        """Bring the server back from whatever a test did to it."""
        self.resume()
        if not self.running:
            self.start()

    def remove(self) -> None:
        """End the process and delete its directory."""
        if self.running:
            self.resume()
            self.kill()
        shutil.rmtree(self.directory)

    @abstractmethod
    def _prepare(self) -> None:
        """Write what the server needs before its first start."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _stop_signal(self) -> signal.Signals: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _answers_or_died(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended while starting; its log:\n{self.log.read_text()[-4000:]}")
        return self._answers()

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        account = self._account
        return _spawner.submit(
            subprocess.Popen,
            command,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(self.directory), **self._environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            # Runs after the change of user, which would clear it.
            preexec_fn=_die_with_parent,
        ).result()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)


AnyServer = TypeVar("AnyServer", bound=Server)


@contextlib.contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    """Run `server` for the length of a block, and remove it after, whatever happened."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def find_program(name: str, package: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise MissingServer(f"the tests need the program '{name}'; install the package '{package}'")
    return path


def unprivileged_account() -> pwd.struct_passwd | None:
    """Who runs the servers when we are root, whom PostgreSQL refuses; None keeps the present user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise MissingServer("the tests run as root and need a user 'postgres' or 'nobody' to run PostgreSQL as")


def clear_up() -> None:
    """Delete the directories of test processes that were killed; their servers died with them."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            # Another worker may sweep at the same time.
            shutil.rmtree(directory, ignore_errors=True)


_libc = ctypes.CDLL(None, use_errno=True)
# A child dies with the thread that started it, not with the process; this one lives as long as the process.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="server-spawner")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _family(pid: int) -> list[int]:
    """`pid` and its direct children, itself first; PostgreSQL's backends each lead a session of their own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return [pid]
    return [pid, *map(int, children)]


def _signal(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
