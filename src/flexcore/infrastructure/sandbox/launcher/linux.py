"""The system calls that Python does not offer, by ctypes."""

import ctypes
import os
import platform
from typing import Final

from flexcore.infrastructure.sandbox.launcher.syscalls import numbers

MACHINE: Final = platform.machine()
"""`x86_64` or `aarch64`; the sandbox knows the system calls of these."""

CLONE_VM: Final = 0x100
CLONE_PARENT: Final = 0x8000
CLONE_THREAD: Final = 0x10000
CLONE_NEWNS: Final = 0x20000
CLONE_NEWCGROUP: Final = 0x2000000
CLONE_NEWUTS: Final = 0x4000000
CLONE_NEWIPC: Final = 0x8000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MNT_DETACH: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_NUMBERS: Final = numbers(MACHINE)

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# The same function, called without letting another thread of the interpreter run meanwhile.
_libc_locked: Final = ctypes.PyDLL(None, use_errno=True)
_libc_locked.syscall.restype = ctypes.c_long


def syscall(name: str, *arguments: object) -> int:
    """Make a system call; raises OSError."""
    return _checked(_libc.syscall(ctypes.c_long(_NUMBERS[name]), *map(_argument, arguments)))


def _argument(value: object) -> object:
    # As variadic arguments integers have to be as wide as a register.
    return ctypes.c_long(value) if isinstance(value, int) else value


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, *arguments: int) -> int:
    """Change or ask something about this process; raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, padded)))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones, as `os.unshare` of Python 3.12 does; raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def setns(descriptor: int, kinds: int) -> None:
    """Enter namespaces: one by its own descriptor, or `kinds` of a process by its pidfd; raises OSError."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kinds)))


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount; raises OSError."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


def unmount(target: str, flags: int) -> None:
    """Unmount; raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)))


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def set_mount_attributes(target: str, flags: int) -> None:
    """Add MS_RDONLY, MS_NOSUID, MS_NODEV or MS_NOEXEC to a mount and all below it; raises OSError. Linux 5.12."""
    at_fdcwd, at_recursive = -100, 0x8000
    attributes = _MountAttributes(set=flags)
    size = ctypes.sizeof(attributes)
    syscall("mount_setattr", at_fdcwd, os.fsencode(target), at_recursive, ctypes.byref(attributes), size)


def signal_descriptor(signal: int) -> int:
    """Open a descriptor that is readable when this blocked signal is pending; raises OSError."""
    mask = (1 << (signal - 1)).to_bytes(8, "little")
    return syscall("signalfd4", -1, mask, len(mask), os.O_CLOEXEC | os.O_NONBLOCK)


def pivot_root(new_root: str, put_old: str) -> None:
    """Exchange the root of this mount namespace; raises OSError."""
    syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def drop_capabilities() -> None:
    """Give up every capability, for good: also those that a root user or a program file would bring."""
    last_capability = 63
    for capability in range(last_capability + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # the kernel knows no more of them
    # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock.
    prctl(PR_SET_SECUREBITS, 0b11101111)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    version_3 = 0x20080522
    header, none = _CapabilityHeader(version_3, 0), (ctypes.c_uint32 * 6)()
    syscall("capset", ctypes.byref(header), ctypes.byref(none))


def clone(flags: int) -> int:
    """Fork with these flags: returns 0 in the child and its process id in the parent; raises OSError.

    What the interpreter does around a fork is done around this one too.
    """
    api = ctypes.pythonapi
    api.PyOS_BeforeFork()
    pid = int(_libc_locked.syscall(ctypes.c_long(_NUMBERS["clone"]), ctypes.c_long(flags), *[ctypes.c_long(0)] * 4))
    if pid == 0:
        api.PyOS_AfterFork_Child()
    else:
        api.PyOS_AfterFork_Parent()
    return _checked(pid)
