"""Probes that reach for other processes: the supervisor, the fork server, siblings, the host's."""

import ctypes
import os
import re
import signal
import socket
import stat
import threading
import time
from pathlib import Path

from .system import call

PTRACE_TRACEME, PTRACE_SEIZE = 0, 0x4206
SECRETS = ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "FLEXCORE", "POSTGRES", "REDIS", "SUDO")
NEIGHBOURS = 400
LARGEST_AREA = 64 << 20


def _others():
    """Process numbers that may be somebody's: the parent's, if it is seen, and the first ones of a namespace."""
    numbers = {os.getppid(), *range(1, NEIGHBOURS)} - {0, os.getpid()}
    return sorted(numbers, key=lambda number: number != os.getppid())


def see_other_processes(host):
    own = {str(os.getpid()), str(os.getppid())}
    others = [name for name in os.listdir("/proc") if name.isdigit() and name not in own]
    seen = {open(f"/proc/{number}/cmdline", "rb").read().replace(b"\0", b" ").strip() for number in others}
    return f"sees {sorted(seen)[-1]!r}" if seen - {b""} else None


def read_environments(host):
    refusal = None
    for number in [os.getppid(), *(name for name in os.listdir("/proc") if name.isdigit())]:
        if str(number) == str(os.getpid()):
            continue
        try:
            with open(f"/proc/{number}/environ", "rb") as file:
                if file.read(1):
                    return f"reads the environment of process {number}"
        except OSError as error:
            refusal = refusal or error
    if refusal:
        raise refusal
    return None


def find_secrets_of_other_plugins(host):
    """Ask for them, look where credentials are kept, and search whatever memory and environment can be read.

    What is looked for is put together here, for the probe not to find itself.
    """
    telling = re.compile(b"-".join((b"planted", b"for", b"another")) + rb"-[0-9a-f]{8}")
    refusal = None
    for place in ("/run/credentials", "/etc/flexcore", host["plugins"]):
        for directory, _, names in os.walk(place):
            for name in names:
                try:
                    if telling.search(Path(directory, name).read_bytes()):
                        return f"stands in {directory}/{name}"
                except OSError as error:
                    refusal = refusal or error
    for number in ("self", *_others()):
        try:
            found = _in_memory(number, telling)
        except OSError as error:
            refusal = refusal or error
            continue
        if found:
            return found
    try:
        import flexcore_plugin
    except ImportError:
        return None
    for name in ("key", "escape-keeper_key", "../plugin_secret_escape-keeper_key"):
        try:
            return f"was given {len(flexcore_plugin.secret(name))} characters"
        except (OSError, RuntimeError) as error:  # while it is imported, nobody is asked
            refusal = refusal or OSError(str(error))
    raise refusal


def _in_memory(number, telling):
    if telling.search(Path(f"/proc/{number}/environ").read_bytes()):
        return f"is in the environment of process {number}"
    with open(f"/proc/{number}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{number}/maps").read_text().splitlines():
            area, rights = line.split()[:2]
            begin, end = (int(address, 16) for address in area.split("-"))
            if not rights.startswith("r") or end - begin > LARGEST_AREA:
                continue
            try:
                memory.seek(begin)
                if telling.search(memory.read(end - begin)):
                    return f"is in the memory of process {number}"
            except (OSError, OverflowError):
                continue
    return None


def find_secrets_in_own_environment(host):
    found = sorted(name for name in os.environ if any(word in name for word in SECRETS))
    return f"was given {', '.join(found)}" if found else None


def find_inherited_descriptors(host):
    """Files, directories and listening or named sockets that somebody left open."""
    for number in range(3, 1024):
        try:
            kind = os.fstat(number).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(kind) or stat.S_ISREG(kind) or stat.S_ISBLK(kind) or stat.S_ISFIFO(kind):
            return f"descriptor {number} is a {oct(stat.S_IFMT(kind))}"
        if stat.S_ISSOCK(kind):
            with socket.socket(fileno=os.dup(number)) as found:
                if found.getsockname() or found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return f"descriptor {number} is the socket {found.getsockname()!r}"
    return None


def signal_others(host):
    """Signal 0 asks whether one could send a real one."""
    refusal = None
    for number in _others():
        try:
            os.kill(number, 0)
        except OSError as error:
            refusal = refusal or error
            continue
        return f"may signal process {number}"
    raise refusal


def kill_the_parent(host):
    if os.getppid() == 0:
        raise ProcessLookupError("its parent is not seen")
    os.kill(os.getppid(), signal.SIGKILL)
    return "killed its parent, and lives"


def kill_its_group(host):
    """Process groups do not end at namespaces: who is in the same one can be killed though he is not seen."""
    os.kill(0, signal.SIGKILL)


def kill_everybody(host):
    os.kill(-1, signal.SIGKILL)
    return "killed every process that it may signal"


def trace_the_parent(host):
    # Unlike attaching it stops nobody, and it ends with the tracer.
    call("ptrace", PTRACE_SEIZE, os.getppid(), 0, 0)
    return "traces its parent"


def be_traced(host):
    """The harmless half of ptrace, which shows that the call is there."""
    call("ptrace", PTRACE_TRACEME, 0, 0, 0)
    return "may be traced"


def read_memory_of_others(host):
    place = ctypes.create_string_buffer(16)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(place), 16)
    # The same program lies at the same address in whoever it was forked from.
    remote = (ctypes.c_size_t * 2)(id(os.getpid), 16)
    refusal = None
    for number in _others():
        try:
            call("process_vm_readv", number, local, 1, remote, 1, 0)
        except OSError as error:
            refusal = refusal or error
            continue
        return f"reads the memory of process {number}"
    raise refusal


def take_descriptors_of_others(host):
    refusal = None
    for number in _others():
        try:
            handle = call("pidfd_open", number, 0)
            os.close(call("pidfd_getfd", handle, 0, 0))
        except OSError as error:
            refusal = refusal or error
            continue
        return f"took a descriptor of process {number}"
    raise refusal


def start_a_process(host):
    """The plugin says that it needs one process; a second one is one too many."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "has a child"


def bomb_with_forks(host):
    children = 0
    while children < 200:
        if os.fork() == 0:
            signal.pause()
        children += 1
    return f"has {children} children"


def bomb_with_threads(host):
    stop = threading.Event()
    threads = []
    try:
        for _ in range(5000):
            thread = threading.Thread(target=stop.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        raise OSError(str(error)) from error
    finally:
        stop.set()
    return f"has {len(threads)} threads"


def outlive_the_execution(host):
    """A process in a session of its own, whose parent is gone: what a daemon does."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 1024)
            time.sleep(60)
        os._exit(0)
    return "left a process behind"
